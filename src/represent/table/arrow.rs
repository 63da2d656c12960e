//! The Arrow IPC stream format, which pandas, Polars, DuckDB and R read without parsing.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, StringBuilder, TimestampMicrosecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};

use super::Table;
use super::rows::{Cell, Columns, Kind};
use crate::jsonld::Context;
use crate::query::Evolution;

/// A table in `application/vnd.apache.arrow.stream`.
pub struct ArrowTable {
    schema: Arc<Schema>,
    kinds: Vec<Kind>,
    writer: Result<StreamWriter<Vec<u8>>, ArrowError>,
}

impl ArrowTable {
    /// A table with these columns.
    pub fn new(columns: &Columns) -> Self {
        let head = columns.head();
        let fields: Vec<Field> =
            head.iter().map(|(name, kind)| Field::new(*name, data_type(*kind), true)).collect();
        let schema = Arc::new(Schema::new(fields));
        let writer = StreamWriter::try_new(Vec::new(), &schema);
        Self { schema, kinds: head.into_iter().map(|(_, kind)| kind).collect(), writer }
    }

    /// What was written since this was asked last. Writing to memory fails only if the table is
    /// none, which its columns make impossible.
    fn taken(&mut self) -> Vec<u8> {
        match &mut self.writer {
            Ok(writer) => std::mem::take(writer.get_mut()),
            Err(_) => Vec::new(),
        }
    }
}

fn data_type(kind: Kind) -> DataType {
    match kind {
        Kind::Text => DataType::Utf8,
        Kind::Number => DataType::Float64,
        Kind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

enum Column {
    Text(StringBuilder),
    Number(Float64Builder),
    Time(TimestampMicrosecondBuilder),
}

impl Column {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Number => Self::Number(Float64Builder::new()),
            Kind::Time => Self::Time(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
        }
    }

    fn push(&mut self, cell: &Cell) {
        match (self, cell) {
            (Self::Text(column), Cell::Text(text)) => column.append_value(text),
            (Self::Text(column), _) => column.append_null(),
            (Self::Number(column), Cell::Number(number)) => column.append_value(number.as_f64()),
            (Self::Number(column), _) => column.append_null(),
            (Self::Time(column), Cell::Time(at)) => column.append_value(at.micros()),
            (Self::Time(column), _) => column.append_null(),
        }
    }

    fn finish(self) -> ArrayRef {
        match self {
            Self::Text(mut column) => Arc::new(column.finish()),
            Self::Number(mut column) => Arc::new(column.finish()),
            Self::Time(mut column) => Arc::new(column.finish()),
        }
    }
}

impl Table for ArrowTable {
    fn begin(&mut self) -> Vec<u8> {
        self.taken()
    }

    fn rows(&mut self, evolutions: &[Evolution], columns: &Columns, context: &Context) -> Vec<u8> {
        let mut built: Vec<Column> = self.kinds.iter().map(|kind| Column::new(*kind)).collect();
        for evolution in evolutions {
            columns.rows(evolution, context, |begin, rest| {
                for (column, cell) in built.iter_mut().zip(begin.iter().chain(rest)) {
                    column.push(cell);
                }
            });
        }
        let arrays: Vec<ArrayRef> = built.into_iter().map(Column::finish).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), arrays);
        if let (Ok(writer), Ok(batch)) = (&mut self.writer, batch)
            && batch.num_rows() > 0
        {
            let _ = writer.write(&batch);
        }
        self.taken()
    }

    fn end(&mut self) -> Vec<u8> {
        if let Ok(writer) = &mut self.writer {
            let _ = writer.finish();
        }
        self.taken()
    }
}
