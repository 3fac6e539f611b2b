#!/usr/bin/env bash
# Remakes the fixtures in testdata/journal from entries.export, with systemd's own tools.
#
# Needs systemd-journal-remote and journalctl of systemd 254 or newer (SYSTEMD_JOURNAL_COMPRESS).
# Other places of the tools: REMOTE=..., JOURNALCTL=... (and LD_LIBRARY_PATH). The sealed journal is
# only remade by root where there are keys (`journalctl --setup-keys` in /var/log/journal/MACHINE-ID).
# The file ids are random, so the fixtures differ from run to run; what they hold does not.
set -euo pipefail
cd "$(dirname "$0")/../../testdata/journal"
remote=${REMOTE:-/usr/lib/systemd/systemd-journal-remote}
journalctl=${JOURNALCTL:-journalctl}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# NAME COMPACT KEYED COMPRESSION
while read -r name compact keyed compression; do
    file="$scratch/$name.journal"
    SYSTEMD_JOURNAL_COMPACT=$compact SYSTEMD_JOURNAL_KEYED_HASH=$keyed \
        SYSTEMD_JOURNAL_COMPRESS=$compression "$remote" --output="$file" entries.export
    zstd -q -f -19 "$file" -o "$name.journal.zst"
done <<'END'
regular-none 0 0 NONE
regular-xz 0 0 XZ
regular-lz4 0 1 LZ4
compact-lz4 1 1 LZ4
compact-zstd 1 1 ZSTD
END

if [ -r "/var/log/journal/$(cat /etc/machine-id)/fss" ]; then
    "$remote" --seal=yes --output="$scratch/sealed.journal" entries.export
    zstd -q -f -19 "$scratch/sealed.journal" -o sealed.journal.zst
fi

for form in json json-pretty json-seq json-sse; do
    "$journalctl" --file="$scratch/compact-zstd.journal" --all --output="$form" >"$scratch/$form"
    zstd -q -f -19 "$scratch/$form" -o "entries.$form.zst"
done
# What journalctl makes of the entries: compare with expected.txt, where only the lines of messages
# of several lines, of escape sequences, of odd identifiers and hosts and of no valid text differ.
"$journalctl" --file="$scratch/compact-zstd.journal" --utc --output=short-iso-precise --quiet |
    diff - expected.txt || true
