# shellcheck shell=bash disable=SC2034
title="the user was added to the group kvm after the session had begun"
expect=group-change-needs-relogin
with=(qemu)

guest() {
    modprobe kvm_amd
    chgrp kvm /dev/kvm
    chmod 660 /dev/kvm
    as_user
    as=(setpriv --reuid=1000 --regid=1000 --clear-groups)
    sed -i 's/^kvm:.*/kvm:x:104:user/' /etc/group
    vmm 5
    collect host
}
