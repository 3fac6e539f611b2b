#!/bin/sh
# Compares our reading of Intel's and AMD's microcode files with that of other tools.
#
# usage: compare.sh [FOLDER]     FOLDER is kept and reused; without it a temporary one is made
#
# Fetches Debian's packages intel-microcode, amd64-microcode and iucode-tool (non-free-firmware, main)
# into a folder of their own: nothing is installed, no list of the system is changed. Run from the
# repository with NESTDOCTOR=path, or nestdoctor in PATH. Exit status 0: the lists are the same.
set -eu
tool=${NESTDOCTOR:-nestdoctor}
work=${1:-$(mktemp -d)}
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/root"
cd "$work"
key=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$key] http://deb.debian.org/debian sid main non-free-firmware" > sources.list
apt() {
    apt-get -qq -o Dir::State="$work" -o Dir::State::status=/dev/null -o Dir::Cache="$work" \
        -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/nonexistent \
        -o APT::Sandbox::User=root -o APT::Architecture=amd64 "$@"
}
ls ./*.deb > /dev/null 2>&1 || { apt update; apt download intel-microcode amd64-microcode iucode-tool; }
for deb in ./*.deb; do dpkg -x "$deb" root; done
firmware=root/usr/lib/firmware
[ -d $firmware/intel-ucode ] || firmware=root/lib/firmware

# Signature, platforms, date, revision and size. iucode_tool lists the main signature of an update
# a second time where the extended table repeats it.
fields() { grep -o 'sig 0x.*' | sort -u; }
with_size() { fields | grep size || true; }
without_size() { fields | grep -v size | sort -u || true; }
./root/usr/sbin/iucode_tool -L $firmware/intel-ucode 2> /dev/null > theirs.txt
"$OLDPWD/$tool" microcode --list $firmware/intel-ucode > ours.txt 2> /dev/null ||
    "$tool" microcode --list $firmware/intel-ucode > ours.txt
with_size < theirs.txt > theirs.main
with_size < ours.txt > ours.main
diff theirs.main ours.main
# Each further signature that is not its update's own.
sed 's/, size .*//' theirs.main > main.signatures
without_size < theirs.txt | grep -vxFf main.signatures > theirs.further || true
without_size < ours.txt > ours.further
diff theirs.further ours.further
echo "Intel: $(wc -l < ours.main) updates and $(wc -l < ours.further) further signatures agree"

# AMD: the headers, read by a few lines of another language.
"$OLDPWD/$tool" microcode --list $firmware/amd-ucode > amd.txt 2> /dev/null ||
    "$tool" microcode --list $firmware/amd-ucode > amd.txt
python3 - $firmware/amd-ucode/*.bin > theirs.amd <<'PYTHON'
import struct, sys
for name in sys.argv[1:]:
    data, at = open(name, "rb").read(), 0
    while data[at:at + 4] == b"DMA\0":
        (length,) = struct.unpack_from("<I", data, at + 8)
        entries = [struct.unpack_from("<IIIHH", data, at + 12 + i) for i in range(0, length, 16)]
        at += 12 + length
        while data[at:at + 4] == struct.pack("<I", 1):
            size, date, patch = struct.unpack_from("<III", data, at + 4)
            (equivalent,) = struct.unpack_from("<H", data, at + 32)
            for cpu in {e[0] for e in entries if e[0] and e[3] == equivalent}:
                day = f"{date & 0xffff:04x}-{date >> 24:02x}-{date >> 16 & 0xff:02x}"
                # One patch of family 12h has day and month the wrong way round.
                day = day if date >> 24 <= 0x12 else ""
                print(f"sig 0x{cpu:08x}, {day}, rev 0x{patch:04x}, size {size}")
            at += 8 + size
PYTHON
fields < amd.txt > ours.amd
sort -u theirs.amd | diff - ours.amd
echo "AMD: $(wc -l < ours.amd) patches agree"
