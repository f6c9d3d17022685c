use super::*;

fn leaves(count: u8) -> Vec<Digest> {
    (0..count).map(|number| Digest::of(&[number])).collect()
}

/// RFC 6962, 2.1, word for word.
fn tree_hash(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let split = leaves.len().next_power_of_two() / 2;
            node(tree_hash(&leaves[..split]), tree_hash(&leaves[split..]))
        }
    }
}

#[test]
fn the_tree_is_that_of_rfc_6962_for_every_size() {
    for count in 0..=130 {
        let leaves = leaves(count);
        let mut tree = Tree::default();
        leaves.iter().for_each(|leaf| tree.push(*leaf));
        assert_eq!(tree.root(), tree_hash(&leaves), "{count} leaves");
    }
}

#[test]
fn the_chain_tells_any_other_order() {
    let chained = |leaves: &[Digest]| {
        let mut chain = Chain::from(Digest::ZERO);
        leaves.iter().for_each(|leaf| chain.push(*leaf));
        chain.value()
    };
    let mut leaves = leaves(3);
    let before = chained(&leaves);
    leaves.swap(0, 1);
    assert_ne!(chained(&leaves), before);
}

#[test]
fn the_parts_of_a_digest_are_kept_apart_by_their_domain() {
    let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
    let parts: [&[u8]; 2] = [a.as_bytes(), b.as_bytes()];
    let all =
        [Domain::Leaf, Domain::Node, Domain::Body, Domain::Link].map(|domain| Digest::within(domain, &parts));
    for (place, digest) in all.iter().enumerate() {
        assert!(!all[..place].contains(digest));
    }
}

#[test]
fn a_digest_is_written_as_sha256sum_writes_it() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Digest::of(b"").to_string(), empty);
    assert_eq!(empty.parse(), Ok(Digest::of(b"")));
    for wrong in ["", "e3b0", &empty.to_uppercase(), &empty.replace('e', "g"), &format!("{}é", &empty[..62])]
    {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
    }
}
