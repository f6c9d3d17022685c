use super::*;

fn ended(lines: &mut Lines, piece: &[u8]) -> Vec<String> {
    lines.push(piece).into_iter().map(|line| String::from_utf8(line).expect("test lines are text")).collect()
}

#[test]
fn lines_are_put_together_whatever_the_pieces() {
    let text = b"{\"a\":1}\n\n{\"b\":2}\r\n{\"c\":3}\n{\"unfinished\"";
    for size in 1..=text.len() {
        let mut lines = Lines::default();
        let ended: Vec<_> = text.chunks(size).flat_map(|piece| ended(&mut lines, piece)).collect();
        assert_eq!(ended, ["{\"a\":1}", "{\"b\":2}\r", "{\"c\":3}"], "pieces of {size}");
        assert_eq!(lines.begun, b"{\"unfinished\"");
    }
}

#[test]
fn a_line_that_is_too_long_is_left_out_and_not_held() {
    let mut lines = Lines::default();
    let long = vec![b'x'; LINE_MAX / 2 + 1];
    assert_eq!(ended(&mut lines, b"before\n"), ["before"]);
    for _ in 0..5 {
        assert_eq!(lines.push(&long), Vec::<Vec<u8>>::new());
        assert!(lines.begun.len() <= LINE_MAX, "{} bytes are held", lines.begun.len());
    }
    assert_eq!(ended(&mut lines, b"the end of it\nafter\n"), ["after"]);
}

#[test]
fn a_query_value_is_escaped() {
    assert_eq!(escaped(r#"{"label":["a=b c"]}"#), "%7B%22label%22%3A%5B%22a%3Db%20c%22%5D%7D");
    assert_eq!(escaped("hemostat.demo-1_~"), "hemostat.demo-1_~");
    assert_eq!(escaped("ü"), "%C3%BC");
}
