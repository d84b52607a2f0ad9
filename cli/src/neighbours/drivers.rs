//! What pcscd is told of the readers that do not announce themselves: files of reader.conf(5).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::Daemon;

/// Where pcscd reads them if it was told no other folder.
const FOLDER: &str = "/etc/reader.conf.d";
/// How many slots vpcd has, at ports that follow one another.
const SLOTS: u16 = 2;

/// One reader of such a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Driver {
    /// Its name begins with this.
    pub(crate) name: String,
    device: String,
    pub(crate) library: PathBuf,
    channel: u32,
}

/// All readers of the daemon's folder; none if it cannot be read.
pub(crate) fn drivers(daemon: Option<&Daemon>) -> Vec<Driver> {
    let folder = daemon.and_then(Daemon::readers).unwrap_or(Path::new(FOLDER));
    let mut files: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file.path()).ok());
    texts.flat_map(|text| read(&text)).collect()
}

/// Each reader of a file begins with its FRIENDLYNAME.
fn read(text: &str) -> Vec<Driver> {
    let mut found: Vec<Driver> = Vec::new();
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once(char::is_whitespace) else { continue };
        let value = value.trim().trim_matches('"').to_owned();
        if key == "FRIENDLYNAME" {
            found.push(Driver { name: value, ..Driver::default() });
        } else if let Some(driver) = found.last_mut() {
            match key {
                "DEVICENAME" => driver.device = value,
                "LIBPATH" => driver.library = value.into(),
                "CHANNELID" => driver.channel = channel(&value),
                _ => {}
            }
        }
    }
    found
}

/// Hexadecimal after `0x`, else decimal. What cannot be read is no port.
fn channel(value: &str) -> u32 {
    let hexadecimal = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X"));
    hexadecimal.map_or_else(|| value.parse(), |digits| u32::from_str_radix(digits, 16)).unwrap_or(0)
}

/// The number of the slot, the last word of a reader's name.
fn slot_of(reader: &str) -> Option<usize> {
    usize::from_str_radix(reader.rsplit(' ').next()?, 16).ok()
}

impl Driver {
    /// Whether it is vsmartcard's vpcd.
    pub(crate) fn is_virtual(&self) -> bool {
        self.library.file_name().is_some_and(|name| name.to_string_lossy().contains("vpcd"))
    }

    /// Whether cards come to it, instead of its coming to a card (vpcd's reversed mode).
    fn listens(&self) -> bool {
        self.device.starts_with("/dev/null")
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        let first = u16::try_from(self.channel).ok().filter(|port| *port > 0);
        first.into_iter().flat_map(|first| (0..SLOTS).filter_map(move |slot| first.checked_add(slot)))
    }

    /// The ports that cards come to.
    pub(crate) fn open_ports(&self) -> impl Iterator<Item = u16> {
        self.ports().filter(|_| self.is_virtual() && self.listens())
    }

    /// The port of a reader's slot, if cards come to it.
    pub(crate) fn port_of(&self, reader: &str) -> Option<u16> {
        self.open_ports().nth(slot_of(reader)?)
    }

    /// Whether this is the name of one of its readers: pcscd puts its number and the slot's after the name, two digits
    /// each.
    pub(crate) fn is_named(&self, reader: &str) -> bool {
        let rest = reader.strip_prefix(&self.name).unwrap_or_default();
        let words: Vec<_> = rest.split(' ').collect();
        matches!(words.as_slice(), ["", number, slot] if number.len() == 2 && slot.len() == 2)
    }

    /// The slot of a card that meets its reader at this address, where it `waits` or goes to.
    pub(crate) fn slot_at(&self, addr: SocketAddr, waits: bool) -> Option<usize> {
        let here = addr.is_ipv4() && (addr.ip().is_loopback() || addr.ip().is_unspecified());
        let met = here && self.is_virtual() && waits != self.listens();
        self.ports().position(|port| met && port == addr.port())
    }

    /// Whether this is the name of the reader in that slot.
    pub(crate) fn is_slot(&self, reader: &str, slot: usize) -> bool {
        self.is_named(reader) && slot_of(reader) == Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# two
FRIENDLYNAME \"Virtual PCD\"
DEVICENAME /dev/null:0x8C7B
LIBPATH /x/libifdvpcd.so
CHANNELID 0x8C7B

FRIENDLYNAME \"Reversed PCD\"
DEVICENAME 127.0.0.1:35979
LIBPATH /x/libifdvpcd.so
CHANNELID 35979
";

    fn at(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn a_file_tells_the_readers_and_the_ports_of_their_slots() {
        let [forward, reversed] = read(FILE).try_into().unwrap();
        assert_eq!(forward.name, "Virtual PCD");
        assert!(forward.is_virtual() && reversed.is_virtual());
        assert_eq!(forward.open_ports().collect::<Vec<_>>(), [35963, 35964]);
        assert_eq!(reversed.open_ports().count(), 0);
        assert_eq!(read("LIBPATH /x\nnonsense\nFRIENDLYNAME \"A\"\nCHANNELID zero")[0].ports().count(), 0);
    }

    #[test]
    fn a_card_is_in_the_slot_of_its_port_and_its_mode() {
        let [forward, reversed] = read(FILE).try_into().unwrap();
        assert_eq!(forward.slot_at(at(35963), false), Some(0));
        assert_eq!(forward.slot_at(at(35964), false), Some(1));
        assert_eq!(reversed.slot_at(at(35979), true), Some(0));
        let elsewhere = SocketAddr::from(([192, 0, 2, 1], 35963));
        for (addr, waits) in [(at(35963), true), (at(35965), false), (elsewhere, false)] {
            assert_eq!(forward.slot_at(addr, waits), None, "{addr} {waits}");
        }
    }

    #[test]
    fn a_readers_name_ends_with_two_numbers() {
        let [forward, _] = read(FILE).try_into().unwrap();
        assert!(forward.is_slot("Virtual PCD 00 00", 0) && forward.is_slot("Virtual PCD 03 01", 1));
        assert!(!forward.is_slot("Virtual PCD 00 00", 1));
        for other in ["Virtual PCD", "Virtual PCD 02 00 00", "Reversed PCD 00 00", "Virtual PCD 00 0"] {
            assert!(!forward.is_named(other), "{other}");
        }
        assert_eq!(forward.port_of("Virtual PCD 00 01"), Some(35964));
    }
}
