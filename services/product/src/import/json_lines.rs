//! JSON lines: one product a line, in the API's field names. Empty lines are nothing.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

use super::{ImportError, LONGEST_RECORD, Sink};
use crate::domain::ProductInput;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads every line of `input` into `sink`.
pub(super) async fn read(mut input: impl AsyncBufRead + Send + Unpin, sink: &mut impl Sink) -> Result<(), ImportError> {
    let most = u64::try_from(LONGEST_RECORD).unwrap_or(u64::MAX);
    let (mut line, mut bytes) = (0, 0);
    let mut text = Vec::new();
    loop {
        text.clear();
        line += 1;
        let read = (&mut input).take(most + 1).read_until(b'\n', &mut text).await?;
        if read == 0 {
            return Ok(());
        }
        if read > LONGEST_RECORD {
            return Err(ImportError::TooLong { line });
        }
        bytes += u64::try_from(read).unwrap_or(0);
        sink.read_to(bytes);
        let json = text.strip_prefix(BYTE_ORDER_MARK).filter(|_| line == 1).unwrap_or(&text).trim_ascii();
        if json.is_empty() {
            continue;
        }
        match product(json) {
            Ok(input) => sink.offer(line, input).await?,
            Err(reason) => sink.reject(line, reason)?,
        }
    }
}

fn product(json: &[u8]) -> Result<ProductInput, String> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let input = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let text = error.inner().to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        if path == "." { text.to_owned() } else { format!("{path}: {text}") }
    })?;
    deserializer.end().map_err(|_| "more than one JSON object on the line".to_owned())?;
    Ok(input)
}
