# shellcheck shell=bash disable=SC2034
title="kvm_amd is loaded, /dev/kvm opens, nobody failed"
expect=none

guest() {
    modprobe kvm_amd
    collect host
}
