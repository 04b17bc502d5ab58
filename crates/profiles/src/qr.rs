//! QR codes for terminals.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

/// Text that is too long for a QR code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no QR code of this text: {0}")]
pub struct QrError(String);

/// `text` as a QR code of half blocks, dark on light whatever the terminal's colours are.
///
/// # Errors
/// [`QrError`].
pub fn qr_code(text: &str) -> Result<String, QrError> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L)
        .map_err(|error| QrError(error.to_string()))?;
    // On a dark terminal the blocks that are drawn are the light ones.
    let drawn =
        code.render::<Dense1x2>().dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build();
    // Black paper and white ink, said to the terminal: the code is readable on a light one too.
    let lines = drawn.lines().map(|line| format!("\u{1b}[97;40m{line}\u{1b}[0m"));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_square_and_has_its_margin() {
        let code = qr_code("https://dns.fleet.example/enrol/0123456789").expect("a code");
        let lines: Vec<&str> = code.lines().collect();
        let letters = lines[0].chars().filter(|letter| "█▀▄ ".contains(*letter)).count();
        assert_eq!(letters.div_ceil(2), lines.len());
        assert!(lines[0].chars().filter(|letter| *letter == '█').count() == letters, "{code}");
        assert!(qr_code(&"x".repeat(4_000)).is_err());
    }
}
