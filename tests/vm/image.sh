# Makes what guests boot: kernels of Debian's packages, and initramfs parts (cpio archives) that are
# joined per guest. Sourced by `run`; everything is kept in $cache.
# shellcheck shell=bash disable=SC2034,SC2154

packages=(qemu-system-x86 seabios busybox-static cpio kmod jq apparmor xz-utils zstd util-linux procps
    binutils)
# With all they need. Virtio for the guests' disk, the others for the situations.
modules=(kvm-amd kvm-intel virtio_pci virtio_blk vfio-pci vfio_iommu_type1 e1000 e1000e tun msr)
# Programs that nestdoctor runs, or that a situation does.
programs=(bash modprobe depmod lsmod ls id stat uname dmesg lscpu getent grep hostname ps setpriv timeout env
    truncate)
branches=(6.1 6.12)

setup() {
    install_packages
    mkdir -p "$cache"/{kernels,parts,runs}
    local branch
    for branch in "$@"; do kernel "$branch"; done
    part base "$here/guest/init" -- base_files
    part qemu "$(command -v qemu-system-x86_64)" -- qemu_files
    part apparmor "$(command -v apparmor_parser)" -- apparmor_files
}

install_packages() {
    local missing=() package
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" = 0 ] || die "as root: apt-get install ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# kernel BRANCH: the newest packaged kernel of a branch, unpacked, and its modules as a part.
kernel() {
    local branch=$1 to=$cache/kernels/$1 package version
    [ ! -f "$to/modules.cpio" ] || return 0
    rm -rf "$to" && mkdir -p "$to/unpacked"
    if ! package=$(download "$branch" "$to"); then
        # The lists may be missing, or name a package that was replaced since.
        [ "$(id -u)" = 0 ] || die "apt has no kernel $branch: as root, apt-get update"
        apt-get update -qq
        package=$(download "$branch" "$to") || die "apt has no kernel $branch"
    fi
    echo "kernel $branch: $package"
    version=${package#linux-image-}
    dpkg -x "$to"/*.deb "$to/unpacked"
    [ -d "$to/unpacked/lib" ] || ln -s usr/lib "$to/unpacked/lib"
    mv "$to/unpacked/boot/vmlinuz-$version" "$to/vmlinuz"
    pack_modules "$to/unpacked" "$version" "$to/modules.cpio"
    rm -rf "$to/unpacked" "$to"/*.deb
}

# download BRANCH DIR: says which package it was.
download() {
    local package
    package=$(newest_kernel "$1")
    [ -n "$package" ] && (cd "$2" && apt-get download -qq "$package" >/dev/null 2>&1) && echo "$package"
}

newest_kernel() {
    apt-cache search --names-only "^linux-image-${1//./\\.}\\.[0-9][0-9a-z.+-]*-amd64$" | cut -d' ' -f1 |
        { grep -vE -- '-(cloud|rt)-' || true; } | sort -V | tail -1
}

# pack_modules TREE VERSION CPIO: the modules that are needed, unpacked for a quick start, and what
# a machine knows of the rest.
pack_modules() {
    local tree=$1 version=$2 root
    root=$(mktemp -d)
    local to=$root/lib/modules/$version
    mkdir -p "$to" "$root/boot"
    cp "$tree/boot/config-$version" "$root/boot/"
    cp "$tree/lib/modules/$version"/modules.{order,builtin*} "$to/"
    depmod -b "$tree" "$version"
    local module path target
    for module in "${modules[@]}"; do
        modprobe -d "$tree" -S "$version" --show-depends "$module"
    done | sed -n 's/^insmod //p' | sort -u | while read -r path _; do
        target=$to/${path#*"/lib/modules/$version/"}
        mkdir -p "$(dirname "$target")"
        case $path in
            *.xz) xz -dc "$path" >"${target%.xz}" ;;
            *.zst) zstd -qdc "$path" >"${target%.zst}" ;;
            *) cp "$path" "$target" ;;
        esac
    done
    depmod -b "$root" "$version"
    pack "$root" "$3"
}

# part NAME NEWER_THAN -- FUNCTION: a cpio that FUNCTION fills, unless it is newer than that file.
part() {
    local cpio=$cache/parts/$1.cpio root
    [ ! "$cpio" -nt "$2" ] || [ ! "$cpio" -nt "$here/image.sh" ] || return 0
    root=$(mktemp -d)
    "$4" "$root"
    pack "$root" "$cpio"
}

# pack DIR CPIO: and removes the directory.
pack() {
    (cd "$1" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$2.new"
    mv "$2.new" "$2"
    rm -rf "$1"
}

base_files() {
    local root=$1 program
    mkdir -p "$root"/{bin,sbin,lib,etc} "$root"/usr/{bin,sbin,lib} "$root/usr/lib64"
    ln -s usr/lib64 "$root/lib64"
    cp "$(command -v busybox)" "$root/bin/busybox"
    cp "$here/guest/init" "$root/init"
    cp -L /etc/os-release "$root/etc/"
    printf '%s\n' root:x:0:0::/root:/bin/bash user:x:1000:1000::/tmp:/bin/bash >"$root/etc/passwd"
    printf '%s\n' root:x:0: kvm:x:104: user:x:1000: >"$root/etc/group"
    for program in "${programs[@]}"; do with_libraries "$root" "$(type -P "$program")"; done
}

qemu_files() {
    with_libraries "$1" "$(type -P qemu-system-x86_64)"
    local file
    for file in /usr/share/seabios/bios-256k.bin /usr/share/qemu/{kvmvapic,linuxboot_dma}.bin; do
        install -D "$(realpath "$file")" "$1$file"
    done
    # Where QEMU looks for it.
    install -D /usr/share/seabios/bios-256k.bin "$1/usr/share/qemu/bios-256k.bin"
}

apparmor_files() {
    with_libraries "$1" "$(type -P apparmor_parser)"
    with_libraries "$1" "$(type -P aa-exec)"
    mkdir -p "$1/etc/apparmor.d"
    cp -r /etc/apparmor "$1/etc/"
    cp -r /etc/apparmor.d/abi "$1/etc/apparmor.d/"
    # What Debian's parser.conf names.
    [ ! -d /usr/share/apparmor-features ] || cp -r --parents /usr/share/apparmor-features "$1"
}

# with_libraries ROOT PROGRAM: a program and its shared libraries, at their own paths.
with_libraries() {
    local root=$1 program=$2 file
    { echo "$program"; ldd "$program" 2>/dev/null | grep -oE '/[^ ]+' || true; } | while read -r file; do
        [ -e "$root$file" ] || install -D "$(realpath "$file")" "$root$file"
    done
}

# The program under test, without what only a debugger reads.
nestdoctor_part() {
    local root
    root=$(mktemp -d)
    with_libraries "$root" "$(realpath "$nestdoctor")"
    install -D "$root$(realpath "$nestdoctor")" "$root/usr/local/bin/nestdoctor"
    rm "$root$(realpath "$nestdoctor")"
    strip --strip-debug "$root/usr/local/bin/nestdoctor"
    pack "$root" "$1"
}
