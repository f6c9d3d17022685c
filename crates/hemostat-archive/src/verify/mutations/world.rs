//! Small archives, made from a seed, whose files can be changed one by one.

use std::collections::BTreeMap;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};

use crate::head::{Head, ObjectRef, Redaction, Signed};
use crate::keys::{KeyRing, PrivateKey};
use crate::object::{Frames, Writer};
use crate::record::Record;
use crate::seal::Sealer;
use crate::store::{Archive, HeadName, Tip, folder, object_name, tip_path};
use crate::testing::{event, record};
use crate::verify::{Report, Witness, verify};

use crate::chain::Digest;

pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Random numbers that are the same for the same seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Rng(pub(super) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(super) fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.next() % (last - first + 1)
    }

    pub(super) fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Keys, an archive that was sealed with them, and what is needed to change it.
pub(super) struct World {
    pub(super) key: PrivateKey,
    pub(super) second: PrivateKey,
    pub(super) stranger: PrivateKey,
    pub(super) files: Files,
    /// Every tip there was, by partition and number.
    pub(super) tips: BTreeMap<(u16, u64), Vec<u8>>,
    /// The number of the last segment, by partition.
    pub(super) last: BTreeMap<u16, u64>,
    pub(super) rng: Rng,
}

/// The segment of partition 0 that has a revision.
pub(super) const REVISED: u64 = 2;

impl World {
    /// Partition 0 has losses and a revision, partition 3 a log that began anew and a second key.
    pub(super) async fn new(seed: u64) -> Self {
        let mut world = Self {
            key: PrivateKey::generate(),
            second: PrivateKey::generate(),
            stranger: PrivateKey::generate(),
            files: Files::new(),
            tips: BTreeMap::new(),
            last: BTreeMap::new(),
            rng: Rng(seed),
        };
        let archive = Archive::within(InMemory::new());
        let mut sealer = Sealer::new(0, None);
        let mut seq = world.rng.between(1, 3);
        for _segment in 0..world.rng.between(4, 6) {
            let mut numbers = Vec::new();
            for _entry in 0..world.rng.between(5, 14) {
                numbers.push(seq);
                seq += if world.rng.below(8) == 0 { world.rng.between(2, 4) } else { 1 };
            }
            world.seal(&archive, &mut sealer, &numbers, false).await;
        }
        world.revise(&archive).await;
        let mut sealer = Sealer::new(3, None);
        for epoch in 0..2 {
            let mut seq = 1;
            for _segment in 0..2 {
                let next = seq + world.rng.between(5, 12);
                let numbers: Vec<u64> = (seq..next).collect();
                world.seal(&archive, &mut sealer, &numbers, epoch == 1).await;
                seq = next;
            }
            if epoch == 0 {
                archive.succeed(world.second.public(), &world.key).await.unwrap();
            }
        }
        world.files = files(&archive).await;
        world
    }

    async fn seal(&mut self, archive: &Archive, sealer: &mut Sealer, numbers: &[u64], by_second: bool) {
        numbers.iter().for_each(|seq| sealer.push(&record(*seq)));
        let key = if by_second { &self.second } else { &self.key };
        let sealed = sealer.seal(key, BTreeMap::new(), 0, "test").unwrap();
        let Head { partition, number, .. } = sealed.head.statement;
        assert!(archive.publish(sealed.object, &sealed.head, key).await.unwrap());
        sealer.published(sealed.head);
        let tip = archive.file(tip_path(partition).as_ref()).await.unwrap().unwrap();
        self.tips.insert((partition, number), tip.to_vec());
        self.last.insert(partition, number);
    }

    /// Takes a body out of a segment.
    async fn revise(&mut self, archive: &Archive) {
        let name = HeadName { partition: 0, number: REVISED, revision: 0 };
        let before = archive.head(&name).await.unwrap();
        let mut records = archive.frames(&before.statement).await.unwrap().all().unwrap();
        let place = self.rng.below(records.len());
        records[place] = records[place].clone().without_body();
        let seq = records[place].seq;
        let (object, _chain) = encoded(&before.statement, &records);
        let redaction = Redaction { seq, event: event(seq).envelope.id, order: event(99).envelope.id };
        let head = Head {
            revision: 1,
            object: object_ref(REVISED, &object),
            supersedes: Some(before.digest),
            redactions: vec![redaction],
            ..before.statement.clone()
        };
        assert!(archive.publish(object, &Signed::sign(head, &self.key), &self.key).await.unwrap());
        archive.delete_object(0, &before.statement.object.name).await.unwrap();
    }

    /// Says what the verifier finds in other files.
    pub(super) async fn verify(&self, files: &Files, witness: Option<&Witness>) -> Report {
        let store = InMemory::new();
        for (path, bytes) in files {
            store.put(&Path::from(path.as_str()), PutPayload::from(bytes.clone())).await.unwrap();
        }
        let ring = KeyRing::of(self.key.public());
        verify(&Archive::within(store), ring, witness, &mut |_progress| {}).await.unwrap()
    }

    /// What somebody who verified the archive at its end has.
    pub(super) fn witness(&self) -> Witness {
        let tips = self.last.iter().map(|(partition, number)| &self.tips[&(*partition, *number)]);
        let tips: Vec<Signed<Tip>> = tips.map(|bytes| Signed::read(bytes).unwrap()).collect();
        Witness::read(&Witness::default().unseen(&tips))
    }

    /// The head of a segment as it is valid, and its path.
    pub(super) fn head(&self, partition: u16, number: u64) -> (String, Signed<Head>) {
        let revision = u32::from(partition == 0 && number == REVISED);
        let path = HeadName { partition, number, revision }.path().to_string();
        let head = Signed::read(&self.files[&path]).unwrap();
        (path, head)
    }

    /// Some segment.
    pub(super) fn segment(&mut self) -> (u16, u64) {
        let partition = *self.rng.one_of(&[0, 3]);
        let number = self.rng.between(1, self.last[&partition]);
        (partition, number)
    }

    /// The key that sealed a segment.
    pub(super) fn sealing_key(&self, head: &Head) -> &PrivateKey {
        if head.key == self.key.public().id() { &self.key } else { &self.second }
    }
}

/// The path of the object of a segment.
pub(super) fn object_path(head: &Head) -> String {
    folder(head.partition).join(head.object.name.as_str()).to_string()
}

/// The entries of an object.
pub(super) fn records(bytes: &[u8]) -> Vec<Record> {
    Frames::open(Bytes::copy_from_slice(bytes)).unwrap().all().unwrap()
}

/// An object with these entries and a fitting index, and what its head has to say of them.
pub(super) fn encoded(head: &Head, records: &[Record]) -> (Bytes, (Digest, Digest)) {
    let mut writer = Writer::new(head.chain_before);
    records.iter().for_each(|record| writer.push(record));
    let proof = (writer.chain(), writer.root());
    (writer.finish().0, proof)
}

pub(super) fn object_ref(number: u64, object: &Bytes) -> ObjectRef {
    let digest = Digest::of(object);
    ObjectRef { name: object_name(number, digest), bytes: object.len() as u64, digest }
}

async fn files(archive: &Archive) -> Files {
    let mut files = Files::new();
    for path in archive.files().await.unwrap().into_keys() {
        let bytes = archive.file(&path).await.unwrap().unwrap();
        files.insert(path, bytes.to_vec());
    }
    files
}
