//! Makes the end of a container's log fit to be shown: bounded, text, without escapes.
//!
//! Invariant L-1: whatever a container writes, at most [`KEPT_MAX`] bytes of it are held.

#[cfg(test)]
mod tests;

/// Most bytes that are handed on: the port's promise.
pub(crate) const TAIL_MAX: usize = 16 * 1_024;
/// Most bytes that are held before escapes are taken out; colours make text a few times longer.
const KEPT_MAX: usize = 4 * TAIL_MAX;
/// Most lines that may be asked for: as many as fit into [`TAIL_MAX`] when each has some words.
pub(crate) const LINES_MAX: usize = 1_000;

/// Takes the engine's log apart and keeps its end.
///
/// A container with a terminal has one stream, sent as it is. Otherwise every piece is a frame: its stream (0 to 2,
/// and 3 for the engine's own words), three zeros, its length in four bytes, big-endian (Docker API, "Attach to a
/// container"). Engines before API 1.42 do not say which it is, so the first eight bytes tell; no text begins like
/// a frame.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    state: Framing,
    tail: Tail,
}

/// Where in the log the next byte is.
#[derive(Debug)]
enum Framing {
    /// In a header, of which these bytes are there. `first` before the first frame.
    Header { seen: Vec<u8>, first: bool },
    /// In a frame that has so many bytes left.
    Frame { left: usize },
    /// In a log without frames.
    Plain,
}

impl Default for Framing {
    fn default() -> Self {
        Self::Header { seen: Vec::with_capacity(HEADER_LEN), first: true }
    }
}

/// Length of a frame's header.
const HEADER_LEN: usize = 8;

impl Demux {
    /// Adds what came next, in pieces of any size.
    pub(crate) fn push(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            match &mut self.state {
                Framing::Plain => {
                    self.tail.push(piece);
                    return;
                }
                Framing::Frame { left } => {
                    let (content, rest) = piece.split_at(piece.len().min(*left));
                    self.tail.push(content);
                    piece = rest;
                    *left -= content.len();
                    if *left == 0 {
                        self.state = Framing::Header { seen: Vec::with_capacity(HEADER_LEN), first: false };
                    }
                }
                Framing::Header { seen, .. } => {
                    let (header, rest) = piece.split_at(piece.len().min(HEADER_LEN - seen.len()));
                    seen.extend_from_slice(header);
                    piece = rest;
                    self.header();
                }
            }
        }
    }

    /// Reads the header as far as it is there.
    fn header(&mut self) {
        let Framing::Header { seen, .. } = &self.state else { return };
        let is_frame = |at: usize, byte: u8| match at {
            0 => byte <= 3,
            1..=3 => byte == 0,
            _ => true,
        };
        if !seen.iter().enumerate().all(|(at, byte)| is_frame(at, *byte)) {
            // Not a frame, or no longer: whatever it is, it is shown.
            self.tail.push(seen);
            self.state = Framing::Plain;
        } else if let [_, _, _, _, length @ ..] = seen.as_slice()
            && let Ok(length) = <[u8; 4]>::try_from(length)
        {
            self.state = match u32::from_be_bytes(length) as usize {
                0 => Framing::Header { seen: Vec::with_capacity(HEADER_LEN), first: false },
                left => Framing::Frame { left },
            };
        }
    }

    /// The end of the log. A log that ends within its very first header was no frame.
    pub(crate) fn into_tail(mut self) -> Tail {
        if let Framing::Header { seen, first: true } = &self.state {
            self.tail.push(seen);
        }
        self.tail
    }
}

/// The end of what a container wrote so far.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    kept: Vec<u8>,
}

impl Tail {
    /// Adds what came next.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        self.kept.extend_from_slice(&piece[piece.len().saturating_sub(KEPT_MAX)..]);
        // Cuts seldom, at twice the size, so that each byte is moved once on average.
        if 2 * KEPT_MAX < self.kept.len() {
            self.kept.drain(..self.kept.len() - KEPT_MAX);
        }
    }

    /// The last `lines` lines as text, at most [`TAIL_MAX`] bytes of them; the end is kept.
    pub(crate) fn text(&self, lines: usize) -> String {
        let kept = &self.kept[self.kept.len().saturating_sub(KEPT_MAX)..];
        let text = plain(&String::from_utf8_lossy(kept));
        let text = text.trim_end_matches('\n');
        last_bytes(last_lines(text, lines), TAIL_MAX).to_owned()
    }
}

/// The text without ANSI escape sequences and control characters, apart from line ends and tabs.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\n' | '\t' => plain.push(c),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

/// Skips what follows an escape character (ECMA-48): a control sequence up to its final character, a string up to
/// its terminator, or a short sequence.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            while let Some(&c) = chars.peek() {
                // A sequence that was cut off must not swallow the next line.
                if c == '\n' || c == '\u{1b}' {
                    return;
                }
                chars.next();
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    return;
                }
            }
        }
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(&c) = chars.peek() {
                if c == '\n' {
                    return;
                }
                chars.next();
                if c == '\u{7}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        _ => {
            while chars.next_if(|c| ('\u{20}'..='\u{2f}').contains(c)).is_some() {}
            chars.next_if(|c| ('\u{30}'..='\u{7e}').contains(c));
        }
    }
}

fn last_lines(text: &str, lines: usize) -> &str {
    let Some(before) = lines.checked_sub(1) else {
        return "";
    };
    match text.rmatch_indices('\n').nth(before) {
        Some((at, _)) => &text[at + 1..],
        None => text,
    }
}

fn last_bytes(text: &str, bytes: usize) -> &str {
    let mut from = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// The start of a text, at most `bytes` bytes of it.
pub(crate) fn first_bytes(text: &str, bytes: usize) -> &str {
    let mut to = bytes.min(text.len());
    while !text.is_char_boundary(to) {
        to -= 1;
    }
    &text[..to]
}
