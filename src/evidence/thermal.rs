//! Heat: how often CPUs throttled themselves, and how warm they are now.
//!
//! Counters are `/sys/devices/system/cpu/cpuN/thermal_throttle/` (drivers/thermal/intel/therm_throt.c;
//! Intel, bare metal): every CPU of a package counts the package's events, and of a core the core's.
//! Temperatures are hwmon's of the CPU (coretemp, k10temp, zenpower; in 1/1000 degree,
//! Documentation/hwmon/sysfs-interface.rst), thermal zones of type `x86_pkg_temp`, and what sensors(1)
//! and `ipmitool sdr` or `sensor` print for CPUs.
//!
//! Not parsed: fans, voltages, temperatures of disks, boards and memory.

use super::Slice;
use super::cpu_time::hundredths;
use crate::model::{FactDef, Kind, Origin, Out, Piece, Value, Want};
use crate::parse::lines;

/// Heat.
pub const SLICE: Slice = Slice { name: "thermal", wants: WANTS, facts: FACTS, parse };

const WANTS: &[Want] = &[
    Want::file("sys/devices/system/cpu/cpu*/thermal_throttle/*_count"),
    Want::file("sys/devices/system/cpu/cpu*/thermal_throttle/*_total_time_ms"),
    Want::file("sys/class/hwmon/hwmon*/name"),
    Want::file("sys/class/hwmon/hwmon*/temp*_input"),
    Want::file("sys/class/thermal/thermal_zone*/type"),
    Want::file("sys/class/thermal/thermal_zone*/temp"),
    Want::command("sensors", &["sensors"], &["sos_commands/lm_sensors/sensors", "sensors"]),
    Want::output("sensors*"),
    Want::command("ipmitool-sdr*", &[], &["sos_commands/ipmitool/ipmitool_*sdr*"]),
    Want::output("ipmitool-sensor*"),
];

const FACTS: &[FactDef] = &[
    FactDef::per(
        "throttle.count",
        Kind::Int,
        "cpu/level",
        "Times a core or package got too hot and was slowed down since boot",
        "grep . /sys/devices/system/cpu/cpu*/thermal_throttle/*_count",
    ),
    FactDef::per(
        "throttle.total_ms",
        Kind::Int,
        "cpu/level",
        "Time for which a core or package was slowed down by heat since boot, milliseconds",
        "grep . /sys/devices/system/cpu/cpu*/thermal_throttle/*_total_time_ms",
    ),
    FactDef::per(
        "hwmon.name",
        Kind::Text,
        "chip",
        "Driver of a chip with sensors: coretemp, k10temp, nvme, ...",
        "cat /sys/class/hwmon/hwmon*/name",
    ),
    FactDef::per(
        "hwmon.celsius",
        Kind::Int,
        "chip",
        "Temperature of a chip's sensor, degrees",
        "grep . /sys/class/hwmon/hwmon*/temp*_input",
    ),
    FactDef::per(
        "sensors.celsius",
        Kind::Int,
        "sensor",
        "Temperature of a CPU, core or package, degrees, as sensors or ipmitool name it",
        "sensors",
    ),
];

fn parse(piece: Piece<'_>, out: &mut Out) {
    let text = piece.text();
    let value = text.lines().next().unwrap_or_default().trim();
    let origin = Origin::new(piece.path, Some(1), value);
    let parts: Vec<&str> = piece.path.split('/').collect();
    match parts[..] {
        ["sys", "devices", "system", "cpu", cpu, "thermal_throttle", file] => {
            throttle(cpu, file, value, &origin, piece, out);
        }
        ["sys", "class", chips, chip, "name" | "type"] if chips != "cpu" && !value.is_empty() => {
            out.fact_of("hwmon.name", chip, Value::text(value), origin);
        }
        ["sys", "class", _, chip, _] => match value.parse::<i64>() {
            Ok(milli) => {
                out.fact_of("hwmon.celsius", chip, Value::Int(milli / 1000), origin);
            }
            // A sensor that is not connected answers with an error.
            Err(_) if value.is_empty() => {}
            Err(_) => out.problem(piece.path, Some(1), "not a temperature"),
        },
        _ => table(piece, &text, out),
    }
}

fn throttle(cpu: &str, file: &str, value: &str, origin: &Origin, piece: Piece<'_>, out: &mut Out) {
    let counted = file
        .strip_suffix("_throttle_count")
        .map(|level| ("throttle.count", level))
        .or_else(|| Some(("throttle.total_ms", file.strip_suffix("_throttle_total_time_ms")?)));
    // Events of power limits are no heat.
    let Some((name, level)) = counted else { return };
    match value.parse() {
        Ok(n) => out.fact_of(name, &format!("{cpu}/{level}"), Value::Int(n), origin.clone()),
        Err(_) => out.problem(piece.path, Some(1), "not a number"),
    }
}

/// `Package id 0:  +86.0°C  (high = ...)` of sensors; `CPU1 Temp | 62 degrees C | ok` of ipmitool.
fn table(piece: Piece<'_>, text: &str, out: &mut Out) {
    let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
    for (line, row) in lines(text).filter(|(line, _)| piece.whole || *line < last) {
        let found = if row.contains('|') { of_ipmi(row) } else { of_sensors(row) };
        if let Some((label, celsius)) = found.filter(|(label, _)| is_cpu(label)) {
            let origin = Origin::new(piece.path, Some(line), row);
            out.fact_of("sensors.celsius", label, Value::Int(celsius), origin);
        }
    }
}

fn of_sensors(row: &str) -> Option<(&str, i64)> {
    let (label, rest) = row.split_once(':')?;
    let reading = rest.trim().split_once('C')?.0;
    let number = reading.trim_start_matches('+').trim_end_matches(['°', ' ', '\u{fffd}']);
    Some((label.trim(), hundredths(number)? / 100))
}

fn of_ipmi(row: &str) -> Option<(&str, i64)> {
    let columns: Vec<&str> = row.split('|').map(str::trim).collect();
    let celsius = columns.iter().any(|c| c.contains("degrees C"));
    let number = columns.iter().skip(1).find_map(|c| {
        let word = c.split_whitespace().next()?;
        (*c == word || c.ends_with("degrees C")).then(|| hundredths(word))?
    });
    Some((columns.first().copied()?, number? / 100)).filter(|_| celsius)
}

/// Whether a sensor's label is of a CPU.
fn is_cpu(label: &str) -> bool {
    let lower = label.to_ascii_lowercase();
    let begins = ["package id", "core ", "tctl", "tdie", "tccd", "cpu", "p0", "p1"];
    begins.iter().any(|b| lower.starts_with(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::testing;

    fn facts(path: &str, text: &str) -> Vec<String> {
        testing::shown(parse, path, text)
    }

    #[test]
    fn counters_of_throttling() {
        let folder = "sys/devices/system/cpu/cpu3/thermal_throttle";
        let one = |file: &str| facts(&format!("{folder}/{file}"), "12\n");
        assert_eq!(one("package_throttle_count"), ["throttle.count[cpu3/package]=12"]);
        assert_eq!(one("core_throttle_total_time_ms"), ["throttle.total_ms[cpu3/core]=12"]);
        assert_eq!(one("core_power_limit_count"), [""; 0]);
        assert_eq!(facts(&format!("{folder}/core_throttle_count"), "?\n"), ["not a number"]);
    }

    #[test]
    fn temperatures_in_all_places() {
        assert_eq!(
            facts("sys/class/hwmon/hwmon2/name", "k10temp\n"),
            ["hwmon.name[hwmon2]=k10temp"]
        );
        let hot = facts("sys/class/hwmon/hwmon2/temp1_input", "86500\n");
        assert_eq!(hot, ["hwmon.celsius[hwmon2]=86"]);
        let zone = facts("sys/class/thermal/thermal_zone3/temp", "54000\n");
        assert_eq!(zone, ["hwmon.celsius[thermal_zone3]=54"]);
        let text = "coretemp-isa-0000\nAdapter: ISA adapter\n\
            Package id 0:  +86.0°C  (high = +80.0°C, crit = +100.0°C)\n\
            Core 0:        +85.5°C  (high = +80.0°C)\nfan1:        1200 RPM\nComposite:    +41.9°C\n";
        let expected = ["sensors.celsius[Package id 0]=86", "sensors.celsius[Core 0]=85"];
        assert_eq!(facts("commands/sensors.txt", text), expected);
        let text = "CPU1 Temp        | 62 degrees C      | ok\nFan1 | 4200 RPM | ok\n\
            CPU2 Temp | 71.000 | degrees C | ok | 0.000\nInlet Temp | 21 degrees C | ok\n";
        let expected = ["sensors.celsius[CPU1 Temp]=62", "sensors.celsius[CPU2 Temp]=71"];
        assert_eq!(facts("commands/ipmitool-sdr.txt", text), expected);
    }
}
