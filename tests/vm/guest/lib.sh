# What a situation's functions can use inside a guest. They run as root in bash.
# shellcheck shell=bash disable=SC2154

# attempt SECONDS COMMAND...: a program that is meant to fail; what it prints is kept for `collect`.
# One that still runs after SECONDS has started, and is ended.
attempt() {
    local seconds=$1 status=0
    shift
    timeout -s KILL "$seconds" "$@" >>/tmp/stderr 2>&1 </dev/null || status=$?
    [ $status != 137 ] || status='none: it started'
    sed 's/^/  | /' /tmp/stderr
    echo "exit status of $1: $status"
}

# vmm SECONDS OPTION...: QEMU with KVM and nothing else, its guest stopped before the first instruction.
vmm() {
    local seconds=$1
    shift
    attempt "$seconds" "${as[@]}" qemu-system-x86_64 -nodefaults -no-user-config -display none \
        -monitor none -serial none -S -m 64 -accel kvm "$@"
}

# Who runs QEMU and nestdoctor: empty is root; `as_user` makes it the user of that name.
as=()
as_user() {
    as=(setpriv --reuid=1000 --regid=1000 --init-groups)
    mkdir -p /result && chmod 1777 /result
}

# collect NAME OPTION...: a bundle of this machine, with what failing programs printed, and its report.
collect() {
    local name=$1 status=0
    shift
    [ ! -s /tmp/stderr ] || set -- --stderr /tmp/stderr "$@"
    "${as[@]}" nestdoctor collect --timeout 30 --bundle "/result/$name.tar.zst" \
        --format json --output "/result/$name.json" "$@" 2>/tmp/collect || status=$?
    cat /tmp/collect
    echo "exit status of nestdoctor collect in $name: $status"
    [ $status -le 1 ]
}

# start_guest NAME FUNCTION OPTION...: a guest of this guest, by KVM, that runs the function; returns when
# it has ended, with what it left in its /result in /result/NAME. The situation says with `levels` how
# many levels of guests there are below the first one.
start_guest() {
    local name=$1 function=$2 work line
    shift 2
    work=$(mktemp -d)
    mkdir -p "$work/root/etc" "/result/$name"
    echo "$name" >"$work/root/etc/hostname"
    { declare -f; echo "as=() levels=$((levels - 1))"; echo 'set -e'; echo "$function"; } >"$work/root/situation"
    (cd "$work/root" && find . | cpio -o -H newc 2>/dev/null) >"$work/own.cpio"
    cat /guest/{base,nestdoctor,qemu}.cpio "$work/own.cpio" >"$work/initrd"
    if [ "$levels" -gt 1 ]; then
        (cd / && find guest | cpio -o -H newc 2>/dev/null) >>"$work/initrd"
    fi
    truncate -s 64M "$work/disk"
    qemu-system-x86_64 -machine q35 -accel kvm -m $((levels * 512)) -smp 1 -nodefaults -no-user-config \
        -display none -monitor none -no-reboot -serial stdio -kernel /guest/vmlinuz -initrd "$work/initrd" \
        -append "console=ttyS0 panic=-1 quiet" -drive "file=$work/disk,format=raw,if=virtio" \
        "$@" </dev/null 2>&1 | while IFS= read -r line; do echo "$name: $line"; done | tee "/tmp/$name.console"
    tar -xf "$work/disk" -C "/result/$name"
    rm -rf "$work"
    [ "$(cat "/result/$name/status")" = 0 ]
}

# until_said FILE TEXT SECONDS: waits until a file holds a text.
until_said() {
    local left=$(($3 * 2))
    while ! grep -qs "$2" "$1"; do
        [ $((left -= 1)) -gt 0 ] || { echo "nobody said \"$2\" within $3 s"; return 1; }
        sleep 0.5
    done
}

# pci_devices VENDOR DEVICE: the addresses of such PCI devices.
pci_devices() {
    local folder
    for folder in /sys/bus/pci/devices/*; do
        [ "$(cat "$folder/vendor" "$folder/device" | xargs)" != "$1 $2" ] || echo "${folder##*/}"
    done
}

# bind_vfio ADDRESS: gives a PCI device to vfio-pci.
bind_vfio() {
    local folder=/sys/bus/pci/devices/$1
    echo vfio-pci >"$folder/driver_override"
    [ ! -e "$folder/driver" ] || echo "$1" >"$folder/driver/unbind"
    echo "$1" >/sys/bus/pci/drivers_probe
}
