//! Module docs.

/// Adds `a` to what [`f`] gives. Second sentence.
///
/// # Examples
// TODO: faster
#[inline(always)]
#[cfg(any(unix, feature = "add("))]
pub async fn add<'a, F: Fn(u8) -> u8>(a: &'a str, f: F, sep: char) -> Result<(u8, u8), E>
where
    F: Fn(u8) -> u8 + 'a,
{
    add(a, f, '(')
}

fn inner() {
    //! Inner docs.
    x()
}

/** A tree.
 *  Of nodes. */
#[derive(Debug, Clone)]
pub struct Tree<K: Ord = u8>(K, u8);

/// Makes.
macro_rules! mk { ($a:expr) => { } }

impl<K> Tree<K> {
    /// New one
    pub const unsafe fn new(k: K, raw: &str) -> Self { let _ = r#"("#; Tree(k, 1) }
}

/// Draws, i.e. paints.
pub trait Draw {
    fn draw(&self, x: u8);
}

pub enum E { A(u8), B }
