//! The few functions that training needs, from additions, multiplications and divisions alone:
//! those are the same to the last bit on every machine, which a platform's `exp` and `ln` are not.

const LN_2: f64 = std::f64::consts::LN_2;

/// e to the power of `x`; `x` is held within ±700.
pub fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let halvings = (x / LN_2).round();
    let rest = x - halvings * LN_2;
    let (mut sum, mut term) = (1.0, 1.0);
    for step in 1..18 {
        term *= rest / f64::from(step);
        sum += term;
    }
    let exponent = (halvings as i64 + 1023) as u64;
    sum * f64::from_bits(exponent << 52)
}

/// The natural logarithm of a positive normal number; the smallest one is taken for others.
pub fn ln(x: f64) -> f64 {
    let x = if x.is_normal() && x > 0.0 { x } else { f64::MIN_POSITIVE };
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i64 - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let (mut sum, mut power) = (0.0, ratio);
    for odd in 0..24 {
        sum += power / f64::from(2 * odd + 1);
        power *= square;
    }
    2.0 * sum + exponent as f64 * LN_2
}

/// 1 / (1 + e^-x).
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// The logit of a probability, which is held a billionth away from 0 and 1.
pub fn logit(p: f64) -> f64 {
    let p = p.clamp(1e-9, 1.0 - 1e-9);
    ln(p / (1.0 - p))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_agree_with_the_platform() {
        for step in -4000..4000 {
            let x = f64::from(step) / 13.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-12, "exp({x}) = {}", exp(x));
            let positive = x.exp();
            assert!((ln(positive) - x).abs() < 1e-11, "ln({positive}) = {}", ln(positive));
        }
        assert!(ln(0.0).is_finite() && ln(f64::NAN).is_finite() && exp(1e9).is_finite());
    }
}
