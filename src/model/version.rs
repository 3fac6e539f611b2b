//! Version numbers as kernels, distributions and hypervisors print them.

use std::cmp::Ordering;
use std::fmt;

/// A dotted version: compared by its leading numeric parts, shown as found.
///
/// `5.15.0-151-generic` compares as `5.15.0`; what follows the first character that is
/// neither digit nor dot is the distributor's and says nothing about upstream order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    text: String,
    parts: Vec<u64>,
}

impl Version {
    /// Parses the first version in `text`; `None` where it does not start with a digit.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let parts: Vec<u64> = text[..end]
            .split('.')
            .filter(|p| !p.is_empty())
            .map_while(|p| p.parse().ok())
            .collect();
        (!parts.is_empty()).then(|| Self { text: text.to_owned(), parts })
    }

    /// The first two numbers: the series that a stable update of Linux belongs to.
    pub fn series(&self) -> (u64, u64) {
        let part = |i: usize| self.parts.get(i).copied().unwrap_or(0);
        (part(0), part(1))
    }

    /// Compares numeric parts; a missing part counts as 0, so `6.12` equals `6.12.0`.
    pub fn compare(&self, other: &Self) -> Ordering {
        let len = self.parts.len().max(other.parts.len());
        let part = |v: &Self, i: usize| v.parts.get(i).copied().unwrap_or(0);
        (0..len)
            .map(|i| part(self, i).cmp(&part(other, i)))
            .find(|o| o.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(a: &str, b: &str) -> Ordering {
        Version::parse(a).unwrap().compare(&Version::parse(b).unwrap())
    }

    #[test]
    fn compares_kernel_releases_by_their_numbers() {
        assert_eq!(order("5.4.0-42-generic", "5.15"), Ordering::Less);
        assert_eq!(order("6.12", "6.12.0-rc1"), Ordering::Equal);
        assert_eq!(order("10.0.26100.4770", "10.0.19045"), Ordering::Greater);
        assert_eq!(order("7.2.10r173021", "7.2.9"), Ordering::Greater);
    }

    #[test]
    fn refuses_what_is_no_version() {
        assert_eq!(Version::parse("rolling"), None);
        assert_eq!(Version::parse(""), None);
    }
}
