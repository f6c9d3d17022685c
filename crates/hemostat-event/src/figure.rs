//! Numbers as events carry them. JSON has no NaN and no infinity, and no threshold may be compared with one: they
//! end where an event is written.

/// Whether an optional figure is left out: it is absent, or the outcome of a division by nothing.
pub(crate) fn absent(figure: &Option<f64>) -> bool {
    figure.is_none_or(|figure| !figure.is_finite())
}

/// A confidence is written within 0 to 1, and as 0 where it is not a number: unsure is the safer side. What is
/// read outside of 0 to 1 was not written by us, and is refused.
pub(crate) mod confidence {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

    pub(crate) fn serialize<S: Serializer>(confidence: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        let confidence = if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, 1.0) };
        confidence.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        let confidence = f64::deserialize(deserializer)?;
        if (0.0..=1.0).contains(&confidence) {
            Ok(confidence)
        } else {
            Err(D::Error::custom(format_args!("a confidence of {confidence} is not within 0 to 1")))
        }
    }
}
