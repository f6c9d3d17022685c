use super::*;
use crate::keys::PrivateKey;
use crate::seal::Sealer;
use crate::testing::record;

use FindingKind::*;

type Change = fn(&mut Head);

/// The heads of two segments, the second of another life of the log where it is to be.
fn heads(key: &PrivateKey, restarted: bool) -> [Signed<Head>; 2] {
    let mut sealer = Sealer::new(0, None);
    let mut seal = |numbers: std::ops::RangeInclusive<u64>| {
        numbers.for_each(|seq| sealer.push(&record(seq)));
        let head = sealer.seal(key, BTreeMap::new(), 0, "test").unwrap().head;
        sealer.published(head.clone());
        head
    };
    [seal(1..=10), if restarted { seal(1..=5) } else { seal(13..=20) }]
}

fn found(heads: &[Signed<Head>]) -> Vec<FindingKind> {
    let (mut followed, mut findings) = (Followed::default(), Findings::default());
    heads.iter().for_each(|head| followed.check(head, &[head.digest], &mut findings));
    findings.list.iter().map(|finding| finding.kind).collect()
}

#[test]
fn what_does_not_follow_is_named_though_the_sealer_signed_it() {
    let key = PrivateKey::generate();
    let changes: [(bool, Change, FindingKind); 8] = [
        (false, |head| head.losses.clear(), NumbersDoNotFollow),
        (true, |head| head.losses.clear(), NumbersDoNotFollow),
        (false, |head| head.epoch = 2, EpochDoesNotFollow),
        (true, |head| head.epoch = 1, EpochDoesNotFollow),
        (false, |head| head.chain_before = Digest::ZERO, ChainDoesNotFollow),
        (false, |head| head.predecessor = None, PredecessorDiffers),
        (false, |head| head.predecessor = Some(Digest::ZERO), PredecessorDiffers),
        (true, |head| head.count += 1, HeadContradicts),
    ];
    for (place, (restarted, change, kind)) in changes.into_iter().enumerate() {
        let [first, mut second] = heads(&key, restarted);
        assert_eq!(found(&[first.clone(), second.clone()]), [], "{place}");
        change(&mut second.statement);
        assert_eq!(found(&[first, second]), [kind], "{place}");
    }
}

#[test]
fn missing_segments_are_named_with_their_entries() {
    let [first, second] = heads(&PrivateKey::generate(), false);
    let (mut followed, mut findings) = (Followed::default(), Findings::default());
    followed.check(&second, &[second.digest], &mut findings);
    assert_eq!(findings.list[0].kind, SegmentMissing);
    assert_eq!(findings.list[0].at, At::segment(0, 1).entries(1, 12));
    let (mut followed, mut findings) = (Followed::default(), Findings::default());
    followed.check(&first, &[first.digest], &mut findings);
    followed.check_end(0, 4, 40, &mut findings);
    assert_eq!(findings.list[0].kind, EndMissing);
    assert_eq!(findings.list[0].at, At::segment(0, 2).up_to(4).entries(11, 40));
}
