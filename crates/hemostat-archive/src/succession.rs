//! Which key follows which, as the archive states it.

use object_store::path::Path;

use crate::failure::ArchiveError;
use crate::head::Signed;
use crate::keys::{KeyId, PrivateKey, PublicKey, Succession};
use crate::store::{Archive, KEYS};

impl Archive {
    /// The statements about keys, in order.
    ///
    /// # Errors
    /// Those of the store, and a statement that was changed.
    pub async fn successions(&self) -> Result<Vec<Signed<Succession>>, ArchiveError> {
        let mut statements = Vec::new();
        for (path, _bytes, _ms) in self.listed(&Path::from(KEYS)).await? {
            let Some(bytes) = self.file(path.as_ref()).await? else { continue };
            let read = Signed::read(&bytes);
            statements.push(read.map_err(|source| ArchiveError::Head { name: path.to_string(), source })?);
        }
        Ok(statements)
    }

    /// Says that `successor` seals from now on. It is `key`, the present one, that says so; once.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn succeed(&self, successor: PublicKey, key: &PrivateKey) -> Result<(), ArchiveError> {
        let told = self.successions().await?;
        let statement = Succession { successor, predecessor: key.public().id() };
        if told.iter().any(|told| told.statement == statement) {
            return Ok(());
        }
        let number = told.len() + 2;
        let path = Path::from(KEYS).join(format!("{number:05}.json"));
        if self.make(&path, Signed::sign(statement, key).to_bytes()).await? {
            return Ok(());
        }
        // Somebody else made a statement with this number.
        Err(object_store::Error::AlreadyExists {
            path: path.to_string(),
            source: "another key follows".into(),
        }
        .into())
    }

    /// Whether `here` may seal behind what `there` sealed: it is that key, or one that follows it as the archive states.
    ///
    /// # Errors
    /// Those of the store, and a statement that was changed.
    pub async fn may_follow(&self, there: &KeyId, here: &PublicKey) -> Result<bool, ArchiveError> {
        let (mut key, own) = (there.clone(), here.id());
        if key == own {
            return Ok(true);
        }
        // A successor is named behind its predecessor, so one pass is enough.
        for Signed { statement, .. } in self.successions().await? {
            if statement.predecessor == key {
                key = statement.successor.id();
                if key == own {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}
