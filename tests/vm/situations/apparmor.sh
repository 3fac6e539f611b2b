# shellcheck shell=bash disable=SC2034
title="an AppArmor profile of QEMU has no rule for /dev/kvm"
expect=apparmor-denies-kvm
with=(qemu apparmor)
append='apparmor=1 security=apparmor'

guest() {
    modprobe kvm_amd
    apparmor_parser -r <<'PROFILE'
abi <abi/3.0>,
profile vm {
  capability, network, signal,
  / r,
  /{usr,bin,sbin,lib,lib64,etc,proc,sys,tmp,root}/** mrwix,
  /dev/{null,zero,urandom} rw,
}
PROFILE
    as=(aa-exec -p vm --)
    vmm 5
    as=()
    collect host
}
