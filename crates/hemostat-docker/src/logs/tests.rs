use super::*;

#[test]
fn the_frames_of_a_log_are_put_together_whatever_the_pieces() {
    let mut log = Vec::new();
    for (stream, text) in [(1, "one\n"), (2, "two, in "), (1, ""), (2, "two frames\n"), (1, "three")] {
        log.extend(frame(stream, text.as_bytes()));
    }
    for size in 1..=log.len() {
        assert_eq!(tail(log.chunks(size)).text(10), "one\ntwo, in two frames\nthree", "pieces of {size}");
    }
}

#[test]
fn the_log_of_a_terminal_has_no_frames() {
    for log in ["one\r\ntwo\r\n", "x", "\u{1}\u{2}text", "1234567", "12345678", "123456789"] {
        for size in 1..=log.len() {
            let expected = plain(log);
            let shown = tail(log.as_bytes().chunks(size)).text(10);
            assert_eq!(shown, expected.trim_end_matches('\n'), "{log:?} in pieces of {size}");
        }
    }
}

#[test]
fn the_engines_own_words_are_shown() {
    assert_eq!(tail([frame(3, b"error from daemon").as_slice()]).text(5), "error from daemon");
}

#[test]
fn a_log_that_stops_in_the_middle_shows_what_is_there() {
    let log = frame(1, b"all of it");
    let cut = &log[..log.len() - 3];
    assert_eq!(tail([cut]).text(5), "all of");
    let mut two = frame(1, b"first\n");
    two.extend([2, 0, 0]);
    assert_eq!(tail([two.as_slice()]).text(5), "first");
}

#[test]
fn what_follows_a_frame_and_is_none_is_shown() {
    let mut log = frame(1, b"framed\n");
    log.extend(b"not framed");
    assert_eq!(tail([log.as_slice()]).text(5), "framed\nnot framed");
}

#[test]
fn invalid_utf8_is_replaced_also_across_frames() {
    let mut log = frame(1, b"a\xff\xfeb ");
    let (first, second) = "ü".as_bytes().split_at(1);
    log.extend(frame(1, first));
    log.extend(frame(1, second));
    assert_eq!(tail([log.as_slice()]).text(5), "a\u{fffd}\u{fffd}b ü");
}

#[test]
fn the_last_lines_are_kept() {
    let log = "1\n2\n3\n4\n";
    for (lines, shown) in [(0, ""), (1, "4"), (3, "2\n3\n4"), (4, "1\n2\n3\n4"), (9, "1\n2\n3\n4")] {
        assert_eq!(tail([log.as_bytes()]).text(lines), shown, "{lines} lines");
    }
    assert_eq!(tail([]).text(5), "");
}

#[test]
fn at_most_16_kib_are_handed_on_and_the_end_is_kept() {
    // Three bytes each, so that the limit falls into the middle of one.
    let log = "€".repeat(TAIL_MAX);
    let shown = tail([log.as_bytes()]).text(1);
    assert_eq!(shown.len(), TAIL_MAX / 3 * 3);
    assert!(shown.chars().all(|c| c == '€'));
    let shown = tail([log.as_bytes(), b"\nthe end"]).text(100);
    assert!(shown.len() <= TAIL_MAX && shown.ends_with("€\nthe end"), "{} bytes", shown.len());
}

#[test]
fn a_log_without_end_is_not_held() {
    let mut log = Demux::default();
    let piece = frame(1, &[b'x'; 10_000]);
    for _ in 0..200 {
        log.push(&piece);
        assert!(log.tail.kept.len() <= 2 * KEPT_MAX, "{} bytes are held", log.tail.kept.len());
    }
    assert_eq!(log.into_tail().text(1).len(), TAIL_MAX);
}

#[test]
fn a_large_piece_is_cut_at_once() {
    let mut tail = Tail::default();
    tail.push(&vec![b'x'; 100 * KEPT_MAX]);
    assert!(tail.kept.capacity() <= 4 * KEPT_MAX, "{} bytes are held", tail.kept.capacity());
}

#[test]
fn escapes_and_control_characters_are_taken_out() {
    for (text, shown) in [
        ("\u{1b}[1;31mred\u{1b}[0m", "red"),
        ("\u{1b}]0;title\u{7}text", "text"),
        ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
        ("\u{1b}(Bplain", "plain"),
        ("\u{1b}creset", "reset"),
        ("a\u{8}b\u{0}c\r\nd\te", "abc\nd\te"),
        ("cut \u{1b}[31\nnext", "cut \nnext"),
        ("cut \u{1b}]0;title\nnext", "cut \nnext"),
        ("end\u{1b}", "end"),
        ("\u{1b}[\u{1b}[31mtwo", "two"),
    ] {
        assert_eq!(plain(text), shown, "{text:?}");
    }
}

#[test]
fn the_start_of_a_text_ends_between_characters() {
    assert_eq!(first_bytes("aü", 2), "a");
    assert_eq!(first_bytes("aü", 3), "aü");
    assert_eq!(first_bytes("a", 9), "a");
}

fn frame(stream: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("frames of tests are small");
    let mut frame = vec![stream, 0, 0, 0];
    frame.extend(length.to_be_bytes());
    frame.extend(content);
    frame
}

fn tail<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Tail {
    let mut log = Demux::default();
    for piece in pieces {
        log.push(piece);
    }
    log.into_tail()
}
