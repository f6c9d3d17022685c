use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    text: String,
    number: u64,
}

fn signed(key: &PrivateKey) -> Signed<Statement> {
    Signed::sign(Statement { text: "text".to_owned(), number: u64::MAX }, key)
}

#[test]
fn a_statement_is_the_same_after_it_was_written_and_read() {
    let key = PrivateKey::generate();
    let signed = signed(&key);
    let read = Signed::read(&signed.to_bytes()).unwrap();
    assert_eq!(read, signed);
    assert!(read.is_signed_by(&key.public().id(), &KeyRing::of(key.public())));
}

#[test]
fn every_other_byte_is_refused_or_not_signed() {
    let key = PrivateKey::generate();
    let (id, ring) = (key.public().id(), KeyRing::of(key.public()));
    let bytes = signed(&key).to_bytes();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            if let Ok(read) = Signed::<Statement>::read(&changed) {
                assert!(!read.is_signed_by(&id, &ring), "bit {bit} of byte {place}");
            }
        }
    }
}

#[test]
fn the_same_in_other_words_is_refused() {
    let key = PrivateKey::generate();
    let text = String::from_utf8(signed(&key).to_bytes()).unwrap();
    for changed in [text.replace("  ", " "), text.trim_end().to_owned(), format!("{text}\n")] {
        let read = Signed::<Statement>::read(changed.as_bytes());
        assert!(matches!(read, Err(HeadError::NotCanonical)), "{changed}");
    }
    let more = text.replacen("\"text\":", "\"more\": 1,\n    \"text\":", 1);
    assert!(matches!(Signed::<Statement>::read(more.as_bytes()), Err(HeadError::Unreadable(_))), "{more}");
}

#[test]
fn a_stranger_is_not_believed() {
    let (key, stranger) = (PrivateKey::generate(), PrivateKey::generate());
    let signed = signed(&stranger);
    assert!(!signed.is_signed_by(&stranger.public().id(), &KeyRing::of(key.public())));
    assert!(!signed.is_signed_by(&key.public().id(), &KeyRing::of(key.public())));
}
