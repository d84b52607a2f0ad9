//! What a process uses of the machine, as proc(5) tells it. A process is named by its number, or `self`.

use std::num::ParseIntError;
use std::path::Path;
use std::time::Duration;

use super::Fallible;

/// Resident memory in KiB: now, and at most so far.
///
/// # Errors
/// There is no such process.
pub fn resident(process: &str) -> Fallible<[u32; 2]> {
    let status = read(process, "status")?;
    let field = |name| -> Fallible<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such field")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    };
    Ok([field("VmRSS:")?, field("VmHWM:")?])
}

/// What it has used of the processors so far, in user and kernel mode, to a hundredth of a second.
///
/// # Errors
/// There is no such process.
pub fn processor_time(process: &str) -> Fallible<Duration> {
    let stat = read(process, "stat")?;
    // The second field is the program's name in parentheses, which may hold anything; `utime` and `stime` are 14 and 15.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in stat")?;
    let times = fields.split_whitespace().skip(11).take(2);
    let hundredths = times.map(str::parse::<u64>).sum::<Result<u64, ParseIntError>>()?;
    Ok(Duration::from_millis(hundredths * 10))
}

fn read(process: &str, file: &str) -> Fallible<String> {
    Ok(std::fs::read_to_string(Path::new("/proc").join(process).join(file))?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_process_that_computes_uses_as_much_time_as_goes_by() -> Fallible<()> {
        let (used, start) = (processor_time("self")?, Instant::now());
        while start.elapsed() < Duration::from_millis(300) {
            std::hint::black_box(0);
        }
        let used = processor_time("self")? - used;
        assert!(used > Duration::ZERO, "{used:?}");
        Ok(())
    }

    #[test]
    fn what_is_resident_now_is_no_more_than_the_most_so_far() -> Fallible<()> {
        let [now, most] = resident("self")?;
        assert!(0 < now && now <= most);
        Ok(())
    }
}
