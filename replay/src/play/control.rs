//! What a person says while it plays: keys at a terminal, or words on lines.

use std::io::{self, BufRead as _, Read as _};
use std::str::FromStr;

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

use super::schedule::Speed;
use crate::state::Point;

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
    /// Stand still, or go on.
    Toggle,
    /// Play so many entries and stand still.
    Step(u64),
    /// Go on at another speed.
    Speed(Speed),
    /// At the next faster one.
    Faster,
    /// At the next slower one.
    Slower,
    /// Go on from another point.
    Seek(Point),
    /// End.
    Quit,
}

/// What was said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// Something to be done.
    Command(Command),
    /// Something that means nothing, and why.
    Nothing(String),
    /// The beginning of a point; `None` when it is given up.
    Asked(Option<String>),
}

/// Most commands that wait to be done; what is said beyond them waits where it comes from.
const AHEAD: usize = 64;
/// The words.
const WORDS: &str = "pause, resume, step [N], speed X, faster, slower, seek POINT, quit";

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let line = line.trim();
        let (word, rest) =
            line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()));
        match (word, rest) {
            ("pause", "") => Ok(Self::Pause),
            ("resume", "") => Ok(Self::Resume),
            ("step", "") => Ok(Self::Step(1)),
            ("step", count) => {
                count.parse().map(Self::Step).map_err(|_other| format!("`{count}` is no number of entries"))
            }
            ("speed", speed) => speed.parse().map(Self::Speed),
            ("faster", "") => Ok(Self::Faster),
            ("slower", "") => Ok(Self::Slower),
            ("seek", point) => point.parse().map(Self::Seek),
            ("quit", "") => Ok(Self::Quit),
            _ => Err(format!("`{line}` is none of: {WORDS}")),
        }
    }
}

/// Reads keys.
#[derive(Default)]
struct Keys {
    /// The point that is being typed.
    asked: Option<String>,
}

impl Keys {
    /// What a key says.
    fn press(&mut self, key: u8) -> Option<Said> {
        if let Some(mut asked) = self.asked.take() {
            match key {
                b'\n' | b'\r' => {
                    let point = asked.trim().parse();
                    return Some(
                        point.map_or_else(Said::Nothing, |point| Said::Command(Command::Seek(point))),
                    );
                }
                // Escape.
                0x1b => return Some(Said::Asked(None)),
                // Backspace.
                0x08 | 0x7f => drop(asked.pop()),
                key if key.is_ascii_graphic() || key == b' ' => asked.push(char::from(key)),
                _ => {}
            }
            self.asked = Some(asked.clone());
            return Some(Said::Asked(Some(asked)));
        }
        let command = match key {
            b' ' => Command::Toggle,
            b'n' => Command::Step(1),
            b'+' | b'=' => Command::Faster,
            b'-' => Command::Slower,
            b'q' => Command::Quit,
            b'g' => {
                self.asked = Some(String::new());
                return Some(Said::Asked(Some(String::new())));
            }
            b'\n' | b'\r' => return None,
            _ => return Some(Said::Nothing("space, n, +, -, g and q are the keys".to_owned())),
        };
        Some(Said::Command(command))
    }
}

/// Listens to a terminal. What is typed is not shown, and comes key by key, until the answer is dropped.
///
/// # Errors
/// When standard input is no terminal.
pub(super) fn keys() -> io::Result<(mpsc::Receiver<Said>, Terminal)> {
    let terminal = Terminal::by_key()?;
    let (said, heard) = mpsc::channel(AHEAD);
    // A read of standard input cannot be given up, so it has a thread that ends with the program.
    std::thread::spawn(move || {
        let mut keys = Keys::default();
        for key in io::stdin().lock().bytes() {
            let Ok(key) = key else { return };
            if keys.press(key).is_some_and(|what| said.blocking_send(what).is_err()) {
                return;
            }
        }
    });
    Ok((heard, terminal))
}

/// Listens to lines on standard input; their end is no command.
pub(super) fn lines() -> mpsc::Receiver<Said> {
    let (said, heard) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if line.trim().is_empty() {
                continue;
            }
            let what = line.parse().map_or_else(Said::Nothing, Said::Command);
            if said.blocking_send(what).is_err() {
                return;
            }
        }
    });
    heard
}

/// A terminal that gives keys; as it was again when this is dropped.
pub(super) struct Terminal {
    before: Termios,
}

impl Terminal {
    fn by_key() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut by_key = before.clone();
        by_key.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        by_key.special_codes[SpecialCodeIndex::VMIN] = 1;
        by_key.special_codes[SpecialCodeIndex::VTIME] = 0;
        // Ctrl-Z would leave the terminal as it is now.
        by_key.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &by_key)?;
        Ok(Self { before })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Err(error) = tcsetattr(io::stdin(), OptionalActions::Now, &self.before) {
            eprintln!("hemostat-replay: the terminal cannot be set back ({error}); `reset` does it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_is_to_be_done() {
        for (line, command) in [
            ("pause", Command::Pause),
            (" resume ", Command::Resume),
            ("step", Command::Step(1)),
            ("step 20", Command::Step(20)),
            ("speed 2.5", Command::Speed(Speed::Times(2.5))),
            ("speed max", Command::Speed(Speed::Max)),
            ("seek  0/17", Command::Seek("0/17".parse().unwrap())),
            ("seek 2026-11-24 06:05:36", Command::Seek("2026-11-24T06:05:36Z".parse().unwrap())),
            ("quit", Command::Quit),
        ] {
            assert_eq!(line.parse(), Ok(command), "{line}");
        }
        for line in ["", "play", "step x", "speed", "speed 0", "seek", "seek soon", "quit now"] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }

    #[test]
    fn keys_say_what_is_to_be_done() {
        let mut keys = Keys::default();
        let said: Vec<_> = b" n+-q\n".iter().filter_map(|key| keys.press(*key)).collect();
        let commands = [Command::Toggle, Command::Step(1), Command::Faster, Command::Slower, Command::Quit]
            .map(Said::Command);
        assert_eq!(said, commands);
        assert!(matches!(keys.press(b'x'), Some(Said::Nothing(_))));
    }

    #[test]
    fn a_point_is_typed_and_can_be_given_up() {
        let mut keys = Keys::default();
        let said: Vec<_> = b"g0/18\x7f7\n".iter().filter_map(|key| keys.press(*key)).collect();
        assert_eq!(said[4], Said::Asked(Some("0/18".to_owned())));
        assert_eq!(said.last(), Some(&Said::Command(Command::Seek("0/17".parse().unwrap()))));
        // `q` and space belong to the point while one is typed.
        let said: Vec<_> = b"gq \x1b ".iter().filter_map(|key| keys.press(*key)).collect();
        assert_eq!(said[3..], [Said::Asked(None), Said::Command(Command::Toggle)]);
    }
}
