use super::*;

#[test]
fn a_key_is_the_same_after_it_was_written_and_read() {
    let key = PrivateKey::generate();
    let again = PrivateKey::from_pem(&key.to_pem()).unwrap();
    assert_eq!(again.public(), key.public());
    assert_eq!(PublicKey::from_pem(&key.public().to_pem()), Ok(key.public()));
    assert!(key.public().has_signed(b"text", &again.sign(b"text")));
    assert!(!key.public().has_signed(b"test", &again.sign(b"text")));
}

#[test]
fn two_keys_are_not_the_same() {
    let (one, other) = (PrivateKey::generate(), PrivateKey::generate());
    assert_ne!(one.public().id(), other.public().id());
    assert!(!one.public().has_signed(b"text", &other.sign(b"text")));
}

#[test]
fn what_is_no_key_is_refused() {
    let key = PrivateKey::generate();
    assert_eq!(PublicKey::from_pem(&key.to_pem()), Err(KeyError::NotPem("public key")));
    assert_eq!(PrivateKey::from_pem(&key.public().to_pem()).unwrap_err(), KeyError::NotPem("private key"));
    assert_eq!(PublicKey::from_pem(&to_pem(b"other", "PUBLIC KEY")), Err(KeyError::NotEd25519));
    assert_eq!(PrivateKey::from_pem(&to_pem(b"other", "PRIVATE KEY")).unwrap_err(), KeyError::NotEd25519);
    assert!(PublicKey::try_from(BASE64.encode([0; 31])).is_err());
}

#[test]
fn a_successor_is_believed_when_its_predecessor_says_so() {
    let (first, second, stranger) = (PrivateKey::generate(), PrivateKey::generate(), PrivateKey::generate());
    let statement = b"the statement";
    let succession = Succession { successor: second.public(), predecessor: first.public().id() };
    let mut ring = KeyRing::of(first.public());
    assert!(!ring.admit(&succession, statement, &stranger.sign(statement)));
    assert!(!ring.believes(&second.public().id()));
    assert!(ring.admit(&succession, statement, &first.sign(statement)));
    assert!(ring.has_signed(&second.public().id(), b"text", &second.sign(b"text")));
}
