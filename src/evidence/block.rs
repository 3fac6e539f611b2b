//! Queues of block devices: `/sys/block/NAME/queue/` (Documentation/block/queue-sysfs.rst).
//!
//! The scheduler in use stands in brackets, `[none] mq-deadline`; `noop` of kernels before 5.0 is
//! the same as `none`. Loop, RAM and optical devices are left out.

use super::Slice;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};

/// Queues of block devices.
pub const SLICE: Slice = Slice { name: "block", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/block/*/queue/scheduler"),
    Want::file("sys/block/*/queue/rotational"),
    Want::file("sys/block/*/queue/nr_requests"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "block.scheduler",
        Kind::Text,
        "device",
        "I/O scheduler in use: none, mq-deadline, bfq, kyber, noop, deadline, cfq",
        "grep . /sys/block/*/queue/scheduler",
    ),
    FactDef::per(
        "block.rotational",
        Kind::Bool,
        "device",
        "Whether the disk says that it turns; paravirtual disks often do and do not",
        "grep . /sys/block/*/queue/rotational",
    ),
    FactDef::per(
        "block.nr_requests",
        Kind::Int,
        "device",
        "Requests that the queue holds",
        "grep . /sys/block/*/queue/nr_requests",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let row = text.lines().next().unwrap_or_default().trim();
    let device = piece.path.split('/').nth(2).unwrap_or_default();
    let passing = ["loop", "ram", "zram", "sr", "fd"];
    if passing.iter().any(|p| device.starts_with(p)) {
        return;
    }
    let origin = Origin::new(piece.path, Some(1), row);
    match piece.file_name() {
        "scheduler" => {
            let chosen = row.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            // A device without a queue of its own prints the bare word.
            let name = chosen.map(|(name, _)| name).or((row == "none").then_some("none"));
            match name {
                Some(name) => {
                    out.fact_of("block.scheduler", device, Value::text(name), origin);
                }
                None => out.problem(piece.path, Some(1), "no scheduler is marked"),
            }
        }
        "rotational" => match row {
            "0" | "1" => {
                out.fact_of("block.rotational", device, Value::Bool(row == "1"), origin);
            }
            _ => out.problem(piece.path, Some(1), "expected 0 or 1"),
        },
        _ => match row.parse() {
            Ok(n) => out.fact_of("block.nr_requests", device, Value::Int(n), origin),
            Err(_) => out.problem(piece.path, Some(1), "not a number"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing::{self, show};

    #[test]
    fn the_marked_scheduler() {
        let scheduler = |text| {
            let out = testing::read(parse, "sys/block/vda/queue/scheduler", text);
            show(&out, "block.scheduler")
        };
        assert_eq!(scheduler("[none] mq-deadline bfq\n").as_deref(), Some("none"));
        assert_eq!(scheduler("noop deadline [cfq]\n").as_deref(), Some("cfq"));
        assert_eq!(scheduler("none\n").as_deref(), Some("none"));
        assert_eq!(scheduler("bfq kyber\n"), None);
        let out = testing::read(parse, "sys/block/loop3/queue/scheduler", "[none]\n");
        assert!(out.facts.is_empty());
    }

    #[test]
    fn numbers() {
        let out = testing::read(parse, "sys/block/vda/queue/rotational", "1\n");
        assert_eq!(show(&out, "block.rotational").unwrap(), "true");
        let out = testing::read(parse, "sys/block/vda/queue/nr_requests", "256\n");
        assert_eq!(show(&out, "block.nr_requests").unwrap(), "256");
        let out = testing::read(parse, "sys/block/vda/queue/nr_requests", "many\n");
        assert_eq!((out.facts.len(), out.problems.len()), (0, 1));
    }
}
