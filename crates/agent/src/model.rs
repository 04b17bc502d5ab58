//! The model file: one version, one schema of features, a checksum, and nothing that is not read.
//!
//! Big-endian, in this order: magic and version; the features' schema hash (8 octets); bias,
//! calibration's slope and offset (i32 each); number of trees (u8), each 15 features, 15
//! thresholds, 16 leaves (i16); logistic bias and weights (i32); table (256 i16); reference row;
//! length (u16) and text of the provenance; SHA-256 of all before it.

use crate::evaluator::{
    CELLS, Calibration, INNER_NODES, LEAVES, Logistic, Probabilities, TREES_MAX, Table, Tree, Trees,
};
use crate::features::{COUNT, Features, schema_hash};
use sha2::{Digest, Sha256};
use thiserror::Error;

const MAGIC: &[u8] = b"einhorn-model 1\n";
const CHECKSUM_OCTETS: usize = 32;
/// A model file is no larger than this.
pub const OCTETS_MAX: usize = 64 << 10;

/// Why a model file is not used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ModelError {
    /// It is not a model file, or of a version that this program does not know.
    #[error("not a model file of version 1")]
    Magic,
    /// It is longer than a model may be.
    #[error("{0} octets, but a model has at most {OCTETS_MAX}")]
    Large(usize),
    /// It was damaged.
    #[error("its checksum does not match: the file is damaged")]
    Checksum,
    /// It was trained for other features.
    #[error("trained for features {found}, but this program computes {expected}: train it again")]
    Schema {
        /// The file's schema hash.
        found: String,
        /// This program's.
        expected: String,
    },
    /// It ends early, is too long, or a number in it is out of range.
    #[error("its content is malformed")]
    Malformed,
}

/// A model, ready to predict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The trees.
    pub trees: Trees,
    /// Makes their margins tell true odds.
    pub calibration: Calibration,
    /// The shadow.
    pub logistic: Logistic,
    /// What both have to beat.
    pub table: Table,
    /// A usual row: what explanations compare with.
    pub reference: Features,
    /// What it was trained on, as one line of JSON.
    pub provenance: String,
    probabilities: Probabilities,
    hash: [u8; 8],
}

impl Model {
    /// Puts a model together. Trees beyond [`TREES_MAX`] and provenance beyond 32 KiB are cut off.
    pub fn new(
        mut trees: Trees,
        calibration: Calibration,
        logistic: Logistic,
        table: Table,
        reference: Features,
        mut provenance: String,
    ) -> Model {
        trees.trees.truncate(TREES_MAX);
        while provenance.len() > 32 << 10 {
            provenance.pop();
        }
        let probabilities = Probabilities::default();
        let hash = [0; 8];
        let mut model = Model {
            trees,
            calibration,
            logistic,
            table,
            reference,
            provenance,
            probabilities,
            hash,
        };
        let digest = Sha256::digest(model.to_octets());
        model.hash.copy_from_slice(&digest[..8]);
        model
    }

    /// The calibrated margin of a row.
    pub fn margin(&self, row: &Features) -> i32 {
        self.calibration.of(self.trees.margin(row))
    }

    /// The probability that a change meets the hazard, in billionths.
    pub fn probability(&self, row: &Features) -> u32 {
        self.probabilities.of(self.margin(row))
    }

    /// The probability of a margin, in billionths.
    pub fn probability_of(&self, margin: i32) -> u32 {
        self.probabilities.of(margin)
    }

    /// The features that move this row's margin most away from the usual, with how much, most
    /// first.
    pub fn reasons<const N: usize>(&self, row: &Features) -> [(usize, i32); N] {
        let margin = self.trees.margin(row);
        let mut moved: Vec<_> = (0..COUNT)
            .map(|feature| {
                let mut usual = *row;
                usual[feature] = self.reference[feature];
                (feature, margin - self.trees.margin(&usual))
            })
            .collect();
        moved.sort_by_key(|(_, by)| std::cmp::Reverse(by.abs()));
        std::array::from_fn(|at| moved.get(at).copied().unwrap_or((0, 0)))
    }

    /// The file.
    pub fn to_octets(&self) -> Vec<u8> {
        let mut octets = MAGIC.to_vec();
        octets.extend(schema_hash());
        for number in [self.trees.bias, self.calibration.slope, self.calibration.offset] {
            octets.extend(number.to_be_bytes());
        }
        octets.push(self.trees.trees.len() as u8);
        for tree in &self.trees.trees {
            octets.extend(tree.features);
            octets.extend(tree.thresholds);
            octets.extend(tree.leaves.iter().flat_map(|leaf| leaf.to_be_bytes()));
        }
        octets.extend(self.logistic.bias.to_be_bytes());
        octets.extend(self.logistic.weights.iter().flat_map(|weight| weight.to_be_bytes()));
        octets.extend(self.table.margins.iter().flat_map(|margin| margin.to_be_bytes()));
        octets.extend(self.reference);
        octets.extend((self.provenance.len() as u16).to_be_bytes());
        octets.extend(self.provenance.as_bytes());
        let checksum = Sha256::digest(&octets);
        octets.extend(checksum);
        octets
    }

    /// The first octets of the SHA-256 of the file: what the ledger calls this model.
    pub fn hash(&self) -> [u8; 8] {
        self.hash
    }

    /// Reads a file.
    pub fn from_octets(octets: &[u8]) -> Result<Model, ModelError> {
        if octets.len() > OCTETS_MAX {
            return Err(ModelError::Large(octets.len()));
        }
        if !octets.starts_with(MAGIC) {
            return Err(ModelError::Magic);
        }
        let content_octets = octets.len() - CHECKSUM_OCTETS.min(octets.len());
        let (content, checksum) = octets.split_at(content_octets);
        if Sha256::digest(content).as_slice() != checksum {
            return Err(ModelError::Checksum);
        }
        let mut reader = Reader(content.get(MAGIC.len()..).ok_or(ModelError::Malformed)?);
        let found = reader.array::<8>()?;
        if found != schema_hash() {
            let (found, expected) = (hexadecimal(&found), hexadecimal(&schema_hash()));
            return Err(ModelError::Schema { found, expected });
        }
        let model = reader.model()?;
        if reader.0.is_empty() { Ok(model) } else { Err(ModelError::Malformed) }
    }
}

/// Octets as letters.
pub fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], ModelError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(ModelError::Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<i32, ModelError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    fn short(&mut self) -> Result<i16, ModelError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    fn model(&mut self) -> Result<Model, ModelError> {
        let bias = self.number()?;
        let calibration = Calibration { slope: self.number()?, offset: self.number()? };
        let [count] = self.array()?;
        if usize::from(count) > TREES_MAX {
            return Err(ModelError::Malformed);
        }
        let trees = (0..count).map(|_| self.tree()).collect::<Result<_, _>>()?;
        let mut logistic = Logistic { bias: self.number()?, weights: [0; COUNT] };
        for weight in &mut logistic.weights {
            *weight = self.number()?;
        }
        let margins = (0..CELLS).map(|_| self.short()).collect::<Result<_, _>>()?;
        let reference = self.array()?;
        let length = usize::from(u16::from_be_bytes(self.array()?));
        let (text, rest) = self.0.split_at_checked(length).ok_or(ModelError::Malformed)?;
        self.0 = rest;
        let provenance = String::from_utf8(text.to_vec()).map_err(|_| ModelError::Malformed)?;
        let trees = Trees { bias, trees };
        Ok(Model::new(trees, calibration, logistic, Table { margins }, reference, provenance))
    }

    fn tree(&mut self) -> Result<Tree, ModelError> {
        let features = self.array::<INNER_NODES>()?;
        if features.iter().any(|feature| usize::from(*feature) >= COUNT) {
            return Err(ModelError::Malformed);
        }
        let mut tree = Tree { features, thresholds: self.array()?, leaves: [0; LEAVES] };
        for leaf in &mut tree.leaves {
            *leaf = self.short()?;
        }
        Ok(tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let mut tree = Tree::EMPTY;
        (tree.features[0], tree.thresholds[0], tree.leaves[8]) = (1, 100, 2048);
        let trees = Trees { bias: -4096, trees: vec![tree; 2] };
        let logistic = Logistic { bias: 7, weights: [3; COUNT] };
        let table = Table { margins: vec![-5; CELLS] };
        Model::new(trees, Calibration::NONE, logistic, table, [0; COUNT], "{}".into())
    }

    #[test]
    fn a_file_is_read_back_and_damage_is_seen() {
        let octets = model().to_octets();
        assert_eq!(Model::from_octets(&octets), Ok(model()));
        for at in 0..octets.len() {
            let mut damaged = octets.clone();
            damaged[at] ^= 1;
            assert!(Model::from_octets(&damaged).is_err(), "octet {at}");
            assert!(Model::from_octets(&octets[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_prediction_and_its_reasons() {
        let mut row = [0; COUNT];
        row[1] = 200;
        assert_eq!(model().margin(&row), 0);
        assert_eq!(model().probability(&row), 500_000_000);
        assert_eq!(model().reasons::<1>(&row), [(1, 4096)]);
    }
}
