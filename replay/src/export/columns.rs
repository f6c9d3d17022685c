//! Parquet: the columns of the table with their types, through the writer of pages and row groups.
//!
//! A row group is held in memory until it is written, so it is bounded by rows and by bytes.

use std::fs::File;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::row::Row;

/// The schema of every file.
const SCHEMA: &str = "
message hemostat_event {
    required int32 partition (integer(32, true));
    required int64 seq (integer(64, true));
    required binary state (string);
    optional binary id (string);
    required binary type (string);
    optional int64 time (timestamp(micros, true));
    required int64 log_time (timestamp(micros, true));
    optional binary source (string);
    optional binary host (string);
    optional binary container (string);
    optional binary incident (string);
    optional binary cause (string);
    optional binary summary (string);
    optional binary data (json);
}";

/// Most rows of a row group.
const GROUP_ROWS_MAX: usize = 16_384;
/// Bytes of text after which a row group ends; one row more may have a mebibyte.
const GROUP_BYTES_MAX: usize = 16 << 20;

/// A file that is being written.
pub(crate) struct Columns {
    writer: SerializedFileWriter<File>,
    rows: Vec<Row>,
    bytes: usize,
}

impl Columns {
    /// Begins a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn new(file: File) -> Result<Self, ParquetError> {
        let schema = parse_message_type(SCHEMA).expect("the schema is one");
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("hemostat-replay ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties))?;
        Ok(Self { writer, rows: Vec::new(), bytes: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When the row group cannot be written.
    pub(crate) fn push(&mut self, row: Row) -> Result<(), ParquetError> {
        let long = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.bytes += 256 + long(&row.summary) + long(&row.data);
        self.rows.push(row);
        if GROUP_ROWS_MAX <= self.rows.len() || GROUP_BYTES_MAX <= self.bytes {
            self.end_group()?;
        }
        Ok(())
    }

    /// Ends the file and gives it back.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn finish(mut self) -> Result<File, ParquetError> {
        self.end_group()?;
        self.writer.into_inner()
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        self.bytes = 0;
        let rows = std::mem::take(&mut self.rows);
        if rows.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        let mut at = 0;
        while let Some(mut column) = group.next_column()? {
            write_column(&mut column, at, &rows)?;
            column.close()?;
            at += 1;
        }
        group.close()?;
        Ok(())
    }
}

/// Writes the column at this place of the schema.
fn write_column(
    column: &mut SerializedColumnWriter<'_>,
    at: usize,
    rows: &[Row],
) -> Result<(), ParquetError> {
    match at {
        0 => {
            let values: Vec<_> = rows.iter().map(|row| i32::from(row.partition)).collect();
            column.typed::<Int32Type>().write_batch(&values, None, None)?;
        }
        1 => {
            // The numbers of a log of a million events a second reach this bound after 290 000 years.
            let values: Vec<_> = rows.iter().map(|row| i64::try_from(row.seq).unwrap_or(i64::MAX)).collect();
            column.typed::<Int64Type>().write_batch(&values, None, None)?;
        }
        2 => required(column, rows, |row| row.state)?,
        3 => optional(column, rows, |row| &row.id)?,
        4 => required(column, rows, |row| &row.kind)?,
        5 => {
            let values: Vec<_> = rows.iter().filter_map(|row| row.time_us).collect();
            let levels: Vec<_> = rows.iter().map(|row| i16::from(row.time_us.is_some())).collect();
            column.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
        }
        6 => {
            let micros = |row: &Row| i64::try_from(row.log_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
            let values: Vec<_> = rows.iter().map(micros).collect();
            column.typed::<Int64Type>().write_batch(&values, None, None)?;
        }
        7 => optional(column, rows, |row| &row.source)?,
        8 => optional(column, rows, |row| &row.host)?,
        9 => optional(column, rows, |row| &row.container)?,
        10 => optional(column, rows, |row| &row.incident)?,
        11 => optional(column, rows, |row| &row.cause)?,
        12 => optional(column, rows, |row| &row.summary)?,
        13 => optional(column, rows, |row| &row.data)?,
        _ => unreachable!("the schema has fourteen columns"),
    }
    Ok(())
}

fn required(
    column: &mut SerializedColumnWriter<'_>,
    rows: &[Row],
    of: impl Fn(&Row) -> &str,
) -> Result<(), ParquetError> {
    let values: Vec<_> = rows.iter().map(|row| ByteArray::from(of(row))).collect();
    column.typed::<ByteArrayType>().write_batch(&values, None, None)?;
    Ok(())
}

fn optional(
    column: &mut SerializedColumnWriter<'_>,
    rows: &[Row],
    of: impl Fn(&Row) -> &Option<String>,
) -> Result<(), ParquetError> {
    let values: Vec<_> = rows.iter().filter_map(|row| of(row).as_deref().map(ByteArray::from)).collect();
    let levels: Vec<_> = rows.iter().map(|row| i16::from(of(row).is_some())).collect();
    column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
    Ok(())
}
