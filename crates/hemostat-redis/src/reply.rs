//! Reading what Redis answers.

use hemostat_agent::log::{EntryId, EntryRef, LogError, Partition, Stored, StreamName};
use redis::Value;

use crate::fault::unexpected;

/// Fields of an entry; `None` where the entry was trimmed away and only its place is left.
pub(crate) type Fields = Option<Vec<(Vec<u8>, Vec<u8>)>>;

/// The entries of an answer.
pub(crate) type Entries = Vec<(EntryId, Fields)>;

/// The parts of an answer that has parts; those of nothing are none.
pub(crate) fn array(value: Value) -> Result<Vec<Value>, LogError> {
    match value {
        Value::Array(parts) => Ok(parts),
        Value::Nil => Ok(Vec::new()),
        _ => Err(unexpected("a request for a list")),
    }
}

/// A list of exactly `N` parts.
pub(crate) fn parts<const N: usize>(value: Value) -> Result<[Value; N], LogError> {
    array(value)?.try_into().map_err(|_length| unexpected("a request for a list of a certain length"))
}

pub(crate) fn bytes(value: Value) -> Result<Vec<u8>, LogError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        _ => Err(unexpected("a request for a text")),
    }
}

pub(crate) fn text(value: Value) -> Result<String, LogError> {
    String::from_utf8(bytes(value)?).map_err(|_binary| unexpected("a request for a text"))
}

/// What `INFO` answers, over any version of the protocol.
pub(crate) fn info(value: Value) -> Result<String, LogError> {
    redis::from_redis_value(value).map_err(|_other| unexpected("INFO"))
}

pub(crate) fn integer(value: &Value) -> Result<i64, LogError> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(unexpected("a request for a number")),
    }
}

pub(crate) fn entry_id(value: Value) -> Result<EntryId, LogError> {
    text(value)?.parse().map_err(|_other| unexpected("a request for an entry id"))
}

/// Entries as `XRANGE`, `XREADGROUP` and `XAUTOCLAIM` answer them.
pub(crate) fn entries(value: Value) -> Result<Entries, LogError> {
    array(value)?
        .into_iter()
        .filter(|entry| *entry != Value::Nil)
        .map(|entry| {
            let [id, fields] = parts(entry)?;
            Ok((entry_id(id)?, fields_of(fields)?))
        })
        .collect()
}

fn fields_of(value: Value) -> Result<Fields, LogError> {
    if value == Value::Nil {
        return Ok(None);
    }
    let mut fields = Vec::new();
    let mut flat = array(value)?.into_iter();
    while let (Some(name), Some(value)) = (flat.next(), flat.next()) {
        fields.push((bytes(name)?, bytes(value)?));
    }
    Ok(Some(fields))
}

/// The entries of each stream in an answer of `XREADGROUP`, by key.
pub(crate) fn streams(value: Value) -> Result<Vec<(String, Entries)>, LogError> {
    let pairs = match value {
        Value::Map(pairs) => pairs,
        list => array(list)?
            .into_iter()
            .map(|pair| parts(pair).map(|[key, entries]| (key, entries)))
            .collect::<Result<_, _>>()?,
    };
    pairs.into_iter().map(|(key, found)| Ok((text(key)?, entries(found)?))).collect()
}

/// Entries that were read outside any group.
pub(crate) fn stored(
    partition: Partition,
    stream: &StreamName,
    value: Value,
) -> Result<Vec<Stored>, LogError> {
    let read = |(id, fields): (EntryId, Fields)| {
        let at = EntryRef { partition, stream: stream.clone(), id };
        Stored { at, fields: fields.unwrap_or_default() }
    };
    Ok(entries(value)?.into_iter().map(read).collect())
}

#[cfg(test)]
mod tests;
