//! An archive: read forward, or by its directory, and never unpacked.
//!
//! A member that is a link to a file is passed over where that file is wanted itself; otherwise the
//! file is delivered under the link's name. Where the file came before its link, the archive is
//! read once more for it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};

use super::deliver::Delivery;
use super::layout::{Layout, Role, Scope, link_target, normal};
use super::limits::{Bounds, Limits};
use super::manifest::Manifest;
use super::member::{Go, Member, MemberKind};
use super::nest::{self, Format};
use super::stream::Store;
use super::survey::{Root, Survey, Unit, stranger};
use super::{LayerSource, Sink, Source, Stats, Wanted};
use crate::model::GapReason;

/// An archive, or the part of it that is one machine's.
pub(super) struct Archive {
    store: Store,
    format: Format,
    name: String,
    scope: Scope,
    layout: Layout,
    limits: Limits,
    manifest: Option<Manifest>,
    others: Vec<LayerSource>,
}

/// Looks through an archive for machines.
pub(super) fn survey(store: &Store, format: Format, limits: Limits, survey: Survey) -> Survey {
    let survey = std::cell::RefCell::new(survey);
    let enter = |path: &str| !survey.borrow().covers(path);
    // A fault is reported by the visit that follows.
    let _ = nest::walk(store, format, &Bounds::new(limits), &enter, &mut |member, _| match member
        .kind
    {
        MemberKind::Refused(_) | MemberKind::Broken(_) => Go::On,
        _ => survey.borrow_mut().offer(&member.path),
    });
    survey.into_inner()
}

impl Archive {
    pub(super) fn new(
        store: Store,
        format: Format,
        name: String,
        unit: Unit,
        limits: Limits,
    ) -> Self {
        let Unit { scope, layout, .. } = unit;
        let (manifest, others) = (None, Vec::new());
        Self { store, format, name, scope, layout, limits, manifest, others }
    }

    /// The source of another machine's tree in the same archive.
    fn other(&self, scope: Scope, layout: Layout) -> LayerSource {
        let top = self.name.strip_suffix(self.scope.under.trim_end_matches('/'));
        let top = top.unwrap_or(&self.name).trim_end_matches('/');
        let name = format!("{top}/{}", scope.under.trim_end_matches('/'));
        let unit = Unit { layer: None, scope, layout };
        let source = Self::new(self.store.clone(), self.format, name, unit, self.limits);
        (None, Box::new(source))
    }
}

/// One pass over the archive.
pub(super) struct Pass<'d, 'a> {
    layout: &'d Layout,
    scope: &'d Scope,
    pub(super) delivery: &'d mut Delivery<'a>,
    /// Targets of wanted links that were not met yet, and the links that lead there.
    links: BTreeMap<String, String>,
    /// Hashes of the paths of all files met.
    met: HashSet<u64>,
    /// Roots of other machines' trees that were met.
    strangers: BTreeSet<String>,
}

impl<'d, 'a> Pass<'d, 'a> {
    pub(super) fn new(
        layout: &'d Layout,
        scope: &'d Scope,
        delivery: &'d mut Delivery<'a>,
    ) -> Self {
        let (links, met, strangers) = (BTreeMap::new(), HashSet::new(), BTreeSet::new());
        Self { layout, scope, delivery, links, met, strangers }
    }

    /// Takes every member once.
    pub(super) fn member(&mut self, member: Member, reader: &mut dyn Read) -> Go {
        let Some(found) = self.scope.inside(&member.path).map(str::to_owned) else { return Go::On };
        if let Some(root) = stranger(&found).filter(|_| !self.layout.holds(&found)) {
            if !self.strangers.contains(root) {
                self.strangers.insert(root.to_owned());
            }
            return Go::On;
        }
        match member.kind {
            MemberKind::Refused(why) => {
                self.delivery.problem(&found, format!("{why}: the member is not analyzed"));
            }
            MemberKind::Broken(fault) => self.delivery.problem(&found, fault.what()),
            MemberKind::Link { target, hard } => self.link(&found, &target, hard),
            MemberKind::File { apart } => {
                self.met.insert(hash(&found));
                let role = match self.delivery.role(self.layout, &found) {
                    Role::Other => match self.links.remove(&found) {
                        Some(link) => self.delivery.role(self.layout, &link),
                        None => return Go::On,
                    },
                    role => role,
                };
                self.file(&found, role, apart, reader);
            }
        }
        Go::On
    }

    /// Takes the files to which links led that came after them.
    pub(super) fn linked(&mut self, member: &Member, reader: &mut dyn Read) -> Go {
        if let (MemberKind::File { apart }, Some(found)) =
            (&member.kind, self.scope.inside(&member.path))
            && let Some(link) = self.links.remove(found)
        {
            let role = self.delivery.role(self.layout, &link);
            self.file(found, role, *apart, reader);
        }
        if self.links.is_empty() { Go::Stop } else { Go::On }
    }

    fn file(&mut self, found: &str, role: Role, apart: bool, reader: &mut dyn Read) {
        let mut noted = Noted { inner: reader, failed: false };
        let fault = self.delivery.file(role, found, false, &mut noted);
        // If the archive itself failed, that is reported once, for the whole.
        if let Some(fault) = fault.filter(|_| apart || !noted.failed) {
            self.delivery.problem(found, format!("the rest is not read: {fault}"));
        }
    }

    /// Whether an archive in the input is looked into.
    pub(super) fn enters(layout: &Layout, scope: &Scope, path: &str) -> bool {
        // In a machine's tree archives of its logs are read; what a user keeps there is his.
        let ours = |inside| !layout.holds(inside) || layout.relative(inside).starts_with("var/");
        scope.reaches(path) && scope.inside(path).is_none_or(ours)
    }

    /// Sources of the machines whose trees were met and are not ours.
    pub(super) fn others(&self) -> Vec<(Scope, Layout)> {
        let layout = || Layout::of(vec![(String::new(), Root { strong: true, sectioned: false })]);
        self.strangers.iter().map(|root| (self.scope.narrowed(root), layout())).collect()
    }

    /// Notes a link if somebody wants it, or a wanted link leads to it.
    fn link(&mut self, found: &str, target: &str, hard: bool) {
        let wanted = if hard {
            self.delivery.role(self.layout, found) != Role::Other
        } else {
            self.delivery.link(self.layout, found, target) != Role::Other
        };
        let origin = if wanted { Some(found.to_owned()) } else { self.links.remove(found) };
        let Some(origin) = origin else { return };
        // A hard link's target is a path of the archive, a symbolic link's one of the machine.
        let target = if hard {
            normal(target).ok().and_then(|t| self.scope.inside(&t).map(str::to_owned))
        } else {
            let relative = self.layout.relative(found);
            let prefix = found.strip_suffix(relative).unwrap_or_default();
            link_target(relative, target).map(|t| format!("{prefix}{t}"))
        };
        if let Some(target) = target
            && self.delivery.role(self.layout, &target) == Role::Other
        {
            self.links.entry(target).or_insert(origin);
        }
    }

    /// Whether files have passed to which links lead.
    pub(super) fn missed(&self) -> bool {
        self.links.keys().any(|target| self.met.contains(&hash(target)))
    }
}

/// Remembers whether the reader failed.
struct Noted<'r> {
    inner: &'r mut dyn Read,
    failed: bool,
}

impl Read for Noted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let result = self.inner.read(buf);
        self.failed |= result.is_err();
        result
    }
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

impl Source for Archive {
    fn visit(&mut self, wanted: &Wanted, sink: &mut dyn Sink) -> Stats {
        // Members are limited alike, compressed once more or not.
        let limits = Limits { plain: self.limits.entry, ..self.limits };
        let mut delivery = Delivery::new(wanted, sink, limits);
        let (scope, layout) = (&self.scope, &self.layout);
        let mut pass = Pass::new(layout, scope, &mut delivery);
        let enter = |path: &str| Pass::enters(layout, scope, path);
        let bounds = Bounds::new(self.limits);
        let end = nest::walk(&self.store, self.format, &bounds, &enter, &mut |member, reader| {
            pass.member(member, reader)
        });
        if end.is_ok() && pass.missed() {
            // The first pass has read the archive to its end: there is nothing new to report.
            let bounds = Bounds::new(self.limits);
            let _ = nest::walk(&self.store, self.format, &bounds, &enter, &mut |member, reader| {
                pass.linked(&member, reader)
            });
        }
        let others = pass.others();
        if let Err(fault) = end {
            delivery.problem(&self.name, fault.what());
            if fault.after == 0 && delivery.stats.files == 0 {
                delivery.gap(&self.name, GapReason::CutOff);
            }
        }
        self.manifest = delivery.manifest;
        let stats = delivery.stats;
        self.others = others.into_iter().map(|(scope, layout)| self.other(scope, layout)).collect();
        stats
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    fn others(&mut self) -> Vec<LayerSource> {
        std::mem::take(&mut self.others)
    }
}
