use super::*;
use crate::chain::{Chain, Tree};
use crate::keys::KeyRing;
use crate::object::Frames;
use crate::testing::record;

fn sealed(sealer: &mut Sealer, key: &PrivateKey, numbers: impl IntoIterator<Item = u64>) -> Sealed {
    for number in numbers {
        sealer.push(&record(number));
    }
    let sealed = sealer.seal(key, BTreeMap::new(), 0, "test").expect("there are entries");
    sealer.published(sealed.head.clone());
    sealed
}

#[test]
fn segments_follow_each_other() {
    let key = PrivateKey::generate();
    let mut sealer = Sealer::new(3, None);
    let one = sealed(&mut sealer, &key, 1..=10);
    // Another archiver goes on where the first one stopped.
    let mut sealer = Sealer::new(3, Some(one.head.clone()));
    let two = sealed(&mut sealer, &key, 11..=15);
    let (one_head, two_head) = (&one.head.statement, &two.head.statement);
    assert_eq!((one_head.number, one_head.first_seq, one_head.last_seq, one_head.count), (1, 1, 10, 10));
    assert_eq!((two_head.number, two_head.first_seq, two_head.last_seq, two_head.count), (2, 11, 15, 5));
    assert_eq!(two_head.predecessor, Some(one.head.digest));
    assert_eq!(two_head.chain_before, one_head.chain_after);
    assert!(one_head.losses.is_empty() && two_head.losses.is_empty());
    assert!(two.head.is_signed_by(&key.public().id(), &KeyRing::of(key.public())));

    let (mut chain, mut tree) = (Chain::from(one_head.chain_after), Tree::default());
    for record in Frames::open(two.object).unwrap().all().unwrap() {
        chain.push(record.leaf());
        tree.push(record.leaf());
    }
    assert_eq!((chain.value(), tree.root()), (two_head.chain_after, two_head.root));
    let stream = record(1).stream;
    assert_eq!(sealer.position(), ([(stream, record(15).id)].into(), 15));
}

#[test]
fn what_is_missing_is_named() {
    let key = PrivateKey::generate();
    let mut sealer = Sealer::new(0, None);
    let one = sealed(&mut sealer, &key, [3, 4, 8]);
    assert_eq!(
        one.head.statement.losses,
        [Loss::Missing { first_seq: 1, last_seq: 2 }, Loss::Missing { first_seq: 5, last_seq: 7 }]
    );
    let two = sealed(&mut sealer, &key, [10]);
    assert_eq!(two.head.statement.losses, [Loss::Missing { first_seq: 9, last_seq: 9 }]);
    assert_eq!(two.head.statement.epoch, 1);
}

#[test]
fn a_log_that_begins_anew_begins_another_epoch_in_another_segment() {
    let key = PrivateKey::generate();
    let mut sealer = Sealer::new(0, None);
    sealer.push(&record(1));
    sealer.push(&record(2));
    assert!(!sealer.begins_anew(&record(3)));
    assert!(sealer.begins_anew(&record(2)));
    sealed(&mut sealer, &key, []);
    let two = sealed(&mut sealer, &key, [1, 2]);
    assert_eq!(two.head.statement.losses, [Loss::Restarted { expected_seq: 3, found_seq: 1 }]);
    assert_eq!((two.head.statement.epoch, two.head.statement.number), (2, 2));
}

#[test]
fn nothing_is_sealed_where_nothing_came() {
    let mut sealer = Sealer::new(0, None);
    assert!(sealer.seal(&PrivateKey::generate(), BTreeMap::new(), 0, "test").is_none());
    assert!(!sealer.is_full(&Settings::default()));
    sealer.push(&record(1));
    assert!(sealer.is_full(&Settings { bytes: 1, ..Settings::default() }));
}
