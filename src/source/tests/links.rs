//! Symbolic links as evidence: the shape of sysfs in every form.

use std::fs;

use super::*;

/// A device behind a bridge: its folder lies under `sys/devices`, all else are links.
const DEVICE: &str = "sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0";

const WANTS: &[Want] = &[
    Want::link("sys/kernel/iommu_groups/*/devices/*"),
    Want::link("sys/bus/pci/devices/*/driver"),
    Want::link("sys/devices/pci*/**/driver"),
    Want::file("sys/bus/pci/devices/*/vendor"),
    Want::file("sys/devices/pci*/**/vendor"),
    Want::file("etc/localtime"),
    Want::link("etc/localtime"),
];

fn members() -> Members {
    let file = |path: &str, bytes: &[u8]| (path.to_owned(), Ok(bytes.to_vec()));
    let link = |path: &str, target: &str| (path.to_owned(), Err(target.to_owned()));
    vec![
        link("etc/localtime", "../usr/share/zoneinfo/UTC"),
        link("sys/bus/pci/devices/0000:01:00.0", &format!("../../../../{DEVICE}")),
        file("sys/bus/pci/drivers/vfio-pci/bind", b""),
        link(&format!("{DEVICE}/driver"), "../../../../bus/pci/drivers/vfio-pci"),
        link(&format!("{DEVICE}/subsystem"), "../../../../bus/pci"),
        file(&format!("{DEVICE}/vendor"), b"0x10de\n"),
        link("sys/kernel/iommu_groups/7/devices/0000:01:00.0", &format!("../../../../../{DEVICE}")),
        file("usr/share/zoneinfo/UTC", b"TZif"),
    ]
}

fn wanted() -> Wanted {
    Wanted::new(WANTS.iter().copied())
}

/// Path, content, and whether it is a link's target.
#[derive(Debug, Default, PartialEq, Eq)]
struct Taken(Vec<(String, String, bool)>);

impl Sink for Taken {
    fn file(&mut self, path: &str, found: Found<'_>, reader: &mut dyn Read) {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        self.0.push((path.to_owned(), text, found.link));
    }

    fn gap(&mut self, gap: Gap) {
        panic!("{gap:?}");
    }

    fn problem(&mut self, problem: Problem) {
        panic!("{problem:?}");
    }
}

fn taken(source: &mut dyn Source) -> Vec<(String, String, bool)> {
    let mut taken = Taken::default();
    source.visit(&wanted(), &mut taken);
    taken.0.sort_by(|a, b| (&a.0, a.2).cmp(&(&b.0, b.2)));
    taken.0
}

fn link(path: &str, target: &str) -> (String, String, bool) {
    (path.to_owned(), target.to_owned(), true)
}

fn file(path: &str, text: &str) -> (String, String, bool) {
    (path.to_owned(), text.to_owned(), false)
}

#[test]
fn a_saved_tree_gives_the_targets_of_its_links_in_every_form() {
    let expected = [
        file("etc/localtime", "TZif"),
        link("etc/localtime", "../usr/share/zoneinfo/UTC"),
        link(&format!("{DEVICE}/driver"), "../../../../bus/pci/drivers/vfio-pci"),
        file(&format!("{DEVICE}/vendor"), "0x10de\n"),
        link("sys/kernel/iommu_groups/7/devices/0000:01:00.0", &format!("../../../../../{DEVICE}")),
    ];
    for top in ["", "sosreport-node7/"] {
        let dir = tempfile::tempdir().unwrap();
        tree(&members(), &dir.path().join(top));
        assert_eq!(taken(open(dir.path()).unwrap().as_mut()), expected);
        let (_dir, path) = put("a", &gzip(&tar(&members(), top)));
        assert_eq!(taken(open(&path).unwrap().as_mut()), expected);
    }
}

#[test]
fn a_live_host_is_read_through_links_and_its_bundle_keeps_them() {
    let root = tempfile::tempdir().unwrap();
    tree(&members(), root.path());
    // Out of the root, and round in a circle.
    symlink("/etc", root.path().join("sys/bus/pci/devices/outside")).unwrap();
    symlink("../devices", root.path().join("sys/bus/pci/devices/loop")).unwrap();
    let options = LiveOptions { root: root.path().to_owned(), ..LiveOptions::default() };
    let collected = collect(WANTS, &options, &|_| ());
    let expected = [
        file("etc/localtime", "TZif"),
        link("etc/localtime", "../usr/share/zoneinfo/UTC"),
        link("sys/bus/pci/devices/0000:01:00.0/driver", "../../../../bus/pci/drivers/vfio-pci"),
        file("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
        file(&format!("{DEVICE}/vendor"), "0x10de\n"),
        link("sys/kernel/iommu_groups/7/devices/0000:01:00.0", &format!("../../../../../{DEVICE}")),
    ];
    let collected =
        Collected { gaps: Vec::new(), manifest: quiet(&collected.manifest), ..collected };
    assert_eq!(taken(&mut collected.source("h", "t")), expected);
    let entry = |e: &&ManifestEntry| e.path.ends_with("0.0/driver");
    let entry = collected.manifest.iter().find(entry).unwrap();
    assert_eq!(entry.link.as_deref(), Some("../../../../bus/pci/drivers/vfio-pci"));
    assert_eq!(entry.source, "/sys/bus/pci/devices/0000:01:00.0/driver");

    let dir = tempfile::tempdir().unwrap();
    let path = bundle::write(&collected, "h", "t", dir.path()).unwrap();
    let mut source = open(&path).unwrap();
    assert_eq!(taken(source.as_mut()), expected);
    assert!(source.manifest().unwrap().files.contains(entry));
}

#[test]
fn a_link_with_files_below_it_stands_in_the_manifest_so_that_a_bundle_can_be_unpacked() {
    let root = tempfile::tempdir().unwrap();
    tree(&members(), root.path());
    let options = LiveOptions { root: root.path().to_owned(), ..LiveOptions::default() };
    let wants = [
        Want::link("sys/bus/pci/devices/*"),
        Want::link("sys/bus/pci/devices/*/driver"),
        Want::file("sys/bus/pci/devices/*/vendor"),
    ];
    let collected = collect(&wants, &options, &|_| ());
    let collected =
        Collected { gaps: Vec::new(), manifest: quiet(&collected.manifest), ..collected };
    let device = "sys/bus/pci/devices/0000:01:00.0";
    assert!(
        collected.links.contains_key(device)
            && collected.files.contains_key(&format!("{device}/vendor"))
    );
    let dir = tempfile::tempdir().unwrap();
    let path = bundle::write(&collected, "h", "t", dir.path()).unwrap();
    let unpacked = dir.path().join("unpacked");
    let stored = fs::File::open(&path).unwrap();
    let plain = codec::Codec::Zstd.decode(stored);
    tar::Archive::new(plain).unpack(&unpacked).unwrap();
    for source in [&path, &unpacked] {
        let mut taken = Taken::default();
        open(source).unwrap().visit(&Wanted::new(wants.iter().copied()), &mut taken);
        let target = taken.0.iter().find(|(path, _, link)| path == device && *link);
        assert!(target.is_some_and(|t| t.1.ends_with(DEVICE)), "{}: {taken:?}", source.display());
    }
}

/// The entries of what was there.
fn quiet(manifest: &[ManifestEntry]) -> Vec<ManifestEntry> {
    manifest.iter().filter(|e| e.missing.is_none()).cloned().collect()
}

#[test]
fn where_links_cannot_be_kept_a_file_may_stand_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sys/bus/pci/devices/0000:01:00.0");
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("driver"), "vfio-pci\n").unwrap();
    let expected = [file("sys/bus/pci/devices/0000:01:00.0/driver", "vfio-pci\n")];
    assert_eq!(taken(open(dir.path()).unwrap().as_mut()), expected);
    let wanted = wanted();
    assert_eq!(wanted.matches(&expected[0].0), [1]);
    assert_eq!(
        (wanted.matches("etc/localtime"), wanted.matches_link("etc/localtime")),
        (vec![5, 6], vec![6])
    );
}
