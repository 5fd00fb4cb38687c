//! Records of CSV (RFC 4180) from a stream, each with the number of the line it begins on. Quoted fields may span lines.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::{ImportError, LONGEST_RECORD};

/// Fields of one record, at most.
const FIELDS: usize = 1024;

/// One record.
pub(super) struct Row {
    /// The line it begins on, from 1.
    pub(super) line: u64,
    /// Its fields; `None` for a record that is not UTF-8.
    pub(super) fields: Option<Vec<String>>,
}

/// Reads records one by one.
pub(super) struct Rows<R> {
    input: R,
    machine: csv_core::Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    line: u64,
    bytes: u64,
}

impl<R: AsyncBufRead + Send + Unpin> Rows<R> {
    pub(super) fn new(input: R) -> Self {
        let machine = csv_core::Reader::new();
        Self { input, machine, text: vec![0; 4096], ends: vec![0; FIELDS], line: 1, bytes: 0 }
    }

    /// Bytes read so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next record; empty lines are none.
    pub(super) async fn next(&mut self) -> Result<Option<Row>, ImportError> {
        self.skip_empty_lines().await?;
        let line = self.line;
        let (mut written, mut ended) = (0, 0);
        loop {
            let input = self.input.fill_buf().await?;
            let (result, read, wrote, ends) =
                self.machine.read_record(input, &mut self.text[written..], &mut self.ends[ended..]);
            self.line += newlines(&input[..read]);
            self.bytes += u64::try_from(read).unwrap_or(0);
            self.input.consume(read);
            written += wrote;
            ended += ends;
            match result {
                csv_core::ReadRecordResult::InputEmpty => {}
                csv_core::ReadRecordResult::OutputFull if self.text.len() < LONGEST_RECORD => {
                    self.text.resize(self.text.len() * 2, 0);
                }
                csv_core::ReadRecordResult::OutputFull | csv_core::ReadRecordResult::OutputEndsFull => {
                    return Err(ImportError::TooLong { line });
                }
                csv_core::ReadRecordResult::Record => {
                    return Ok(Some(Row { line, fields: self.fields(ended) }));
                }
                csv_core::ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// The machine skips them too, but does not tell where the record then begins.
    async fn skip_empty_lines(&mut self) -> Result<(), ImportError> {
        loop {
            let input = self.input.fill_buf().await?;
            let empty = input.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            if empty == 0 {
                return Ok(());
            }
            self.line += newlines(&input[..empty]);
            self.bytes += u64::try_from(empty).unwrap_or(0);
            self.input.consume(empty);
        }
    }

    fn fields(&self, ended: usize) -> Option<Vec<String>> {
        let starts = std::iter::once(&0).chain(&self.ends);
        let fields = starts.zip(&self.ends[..ended]).map(|(start, end)| {
            std::str::from_utf8(&self.text[*start..*end]).map(|field| field.trim_start_matches('\u{feff}').to_owned())
        });
        fields.collect::<Result<_, _>>().ok()
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn rows(text: &str) -> Vec<(u64, Vec<String>)> {
        let mut rows = Rows::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some(row) = rows.next().await.unwrap() {
            all.push((row.line, row.fields.unwrap()));
        }
        all
    }

    #[tokio::test]
    async fn a_record_has_the_number_of_the_line_it_begins_on() {
        let rows = rows("a,b\r\n\r\n\"one\ntwo\",c\nd,\"say \"\"hi\"\"\"\n\n\nlast,e").await;
        let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 5, 8]);
        assert_eq!(rows[1].1, ["one\ntwo", "c"]);
        assert_eq!(rows[2].1, ["d", "say \"hi\""]);
        assert_eq!(rows[3].1, ["last", "e"]);
    }

    #[tokio::test]
    async fn a_record_may_be_long_but_not_endless() {
        let long = "x".repeat(100_000);
        assert_eq!(rows(&format!("{long},b\n")).await[0].1[0].len(), 100_000);
        let endless = format!("\"{}", "x".repeat(3 << 20));
        let mut rows = Rows::new(endless.as_bytes());
        assert!(matches!(rows.next().await, Err(ImportError::TooLong { line: 1 })));
    }
}
