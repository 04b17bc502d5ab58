//! What is wrong with a copybook, and where.

/// A copybook that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct CopybookError {
    /// The file, as it was named to the parser.
    pub file: String,
    /// Line, counted from 1.
    pub line: usize,
    /// Column, counted from 1 in characters of the line as it stands in the file.
    pub column: usize,
    /// What is wrong, and what to do about it.
    pub message: String,
}

/// A place in a copybook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// A complaint about a place, before the file's name is known.
#[derive(Debug)]
pub(super) struct Complaint {
    pub(super) place: Place,
    pub(super) message: String,
}

impl Complaint {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Complaint {
        Complaint { place, message: message.into() }
    }

    pub(super) fn in_file(self, file: &str) -> CopybookError {
        let Place { line, column } = self.place;
        CopybookError { file: file.to_owned(), line, column, message: self.message }
    }
}
