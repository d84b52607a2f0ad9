//! Padding to whole blocks: 80, then zeros (ISO/IEC 9797-1, method 2; Amendment D §4.1.4).

use zeroize::Zeroizing;

use crate::crypto::Block;

const MARK: u8 = 0x80;

/// `data`, 80, zeros.
pub(super) fn pad(data: &[u8]) -> Zeroizing<Vec<Block>> {
    let mut blocks = Zeroizing::new(vec![Block::default(); data.len() / size_of::<Block>() + 1]);
    let bytes = blocks.as_flattened_mut();
    bytes[..data.len()].copy_from_slice(data);
    bytes[data.len()] = MARK;
    blocks
}

/// The inverse of [`pad`]. Call it on authenticated blocks only.
pub(super) fn unpad(blocks: &[Block]) -> Option<Zeroizing<Vec<u8>>> {
    let last = blocks.last()?;
    let zeros = last.iter().rev().take_while(|byte| **byte == 0).count();
    let bytes = blocks.as_flattened();
    let (data, _) = bytes.split_at_checked(bytes.len().checked_sub(zeros + 1)?)?;
    (bytes.get(data.len()) == Some(&MARK) && zeros < last.len()).then(|| data.to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_undone_and_only_padding() {
        for len in 0..40 {
            let data = vec![0x80; len];
            let blocks = pad(&data);
            assert_eq!(blocks.len(), len / 16 + 1);
            assert_eq!(unpad(&blocks).unwrap().as_slice(), data);
        }
        let mut far = [[0; 16]; 2];
        far[0][15] = MARK;
        assert_eq!(unpad(&far), None, "the mark is in the last block");
        assert_eq!(unpad(&[[0; 16]]), None);
        assert_eq!(unpad(&[[1; 16]]), None);
        assert_eq!(unpad(&[]), None);
    }
}
