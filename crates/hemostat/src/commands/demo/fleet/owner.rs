//! Tells whether the process that made something still runs.

use std::fmt;
use std::fs;
use std::io;
use std::str::FromStr;

/// A process, told from every other on this host and on others: a number alone is soon given to the next one.
///
/// Written as `host/boot/namespace/pid/start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// The host's own name.
    pub(super) host: String,
    /// The kernel's id of this boot.
    pub(super) boot: String,
    /// The namespace its number belongs to.
    pub(super) namespace: String,
    /// Its number.
    pub(super) pid: u32,
    /// Clock ticks from boot to its start.
    pub(super) start: u64,
}

/// What became of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// It is gone.
    Over,
    /// It runs.
    Runs {
        /// Its number.
        pid: u32,
    },
    /// It cannot be seen from here.
    Unknown,
}

impl Owner {
    /// This process.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub(super) fn this() -> io::Result<Self> {
        let pid = std::process::id();
        Ok(Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
            namespace: fs::read_link("/proc/self/ns/pid")?.to_string_lossy().into_owned(),
            pid,
            start: start_of(pid).ok_or_else(|| io::Error::other("there is no start in /proc/self/stat"))?,
        })
    }

    /// What became of it, seen from the process `this`.
    pub(super) fn life(&self, this: &Self) -> Life {
        self.seen_from(this, start_of)
    }

    fn seen_from(&self, this: &Self, start_of: impl Fn(u32) -> Option<u64>) -> Life {
        if self.host != this.host {
            Life::Unknown
        } else if self.boot != this.boot {
            Life::Over
        } else if self.namespace != this.namespace {
            Life::Unknown
        } else if start_of(self.pid) == Some(self.start) {
            Life::Runs { pid: self.pid }
        } else {
            Life::Over
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}/{}", self.host, self.boot, self.namespace, self.pid, self.start)
    }
}

/// The text names no process.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoOwner;

impl FromStr for Owner {
    type Err = NoOwner;

    fn from_str(text: &str) -> Result<Self, NoOwner> {
        let parts: Vec<_> = text.split('/').collect();
        let [host, boot, namespace, pid, start] = parts.as_slice() else { return Err(NoOwner) };
        Ok(Self {
            host: (*host).to_owned(),
            boot: (*boot).to_owned(),
            namespace: (*namespace).to_owned(),
            pid: pid.parse().map_err(|_not_a_number| NoOwner)?,
            start: start.parse().map_err(|_not_a_number| NoOwner)?,
        })
    }
}

/// When a process started, in clock ticks since boot; `None` when there is none with this number.
fn start_of(pid: u32) -> Option<u64> {
    start_in(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of proc_pid_stat(5). The name in field 2 may have blanks and brackets of its own.
fn start_in(stat: &str) -> Option<u64> {
    let (_name, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        let [host, boot, namespace] = ["box", "b1", "pid:[4026531836]"].map(str::to_owned);
        Owner { host, boot, namespace, pid: 41, start: 900 }
    }

    #[test]
    fn an_owner_is_read_as_it_is_written() {
        let this = Owner::this().expect("/proc is there");
        for owner in [owner(), this] {
            assert_eq!(owner.to_string().parse(), Ok(owner));
        }
        for text in ["", "true", "a/b/c/d/e", "a/b/c/1", "a/b/c/1/2/3"] {
            assert_eq!(text.parse::<Owner>(), Err(NoOwner), "{text}");
        }
    }

    #[test]
    fn only_a_process_that_can_be_seen_to_be_gone_is_over() {
        let this = Owner { pid: 77, start: 1_000, ..owner() };
        let running =
            |pid: u32| [(41, 900), (77, 1_000)].iter().find(|(of, _)| *of == pid).map(|(_, start)| *start);
        let other = |change: fn(&mut Owner)| {
            let mut other = owner();
            change(&mut other);
            other.seen_from(&this, running)
        };
        assert_eq!(other(|_| {}), Life::Runs { pid: 41 });
        assert_eq!(other(|owner| owner.pid = 42), Life::Over, "no such process");
        assert_eq!(other(|owner| owner.start = 899), Life::Over, "its number was given to another");
        assert_eq!(other(|owner| owner.boot = "b0".to_owned()), Life::Over, "the host was started again");
        assert_eq!(other(|owner| owner.host = "bax".to_owned()), Life::Unknown);
        assert_eq!(other(|owner| owner.namespace = "pid:[1]".to_owned()), Life::Unknown);
    }

    #[test]
    fn this_process_runs() {
        let this = Owner::this().expect("/proc is there");
        assert_eq!(this.life(&this), Life::Runs { pid: std::process::id() });
    }

    #[test]
    fn the_start_is_found_behind_whatever_name() {
        let stat =
            "7 (a b) S) R 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 12345 1000 1 18446744073709551615";
        assert_eq!(start_in(stat), Some(12_345));
        assert_eq!(start_in("7 (cut) R 1"), None);
        assert_eq!(start_in(""), None);
    }
}
