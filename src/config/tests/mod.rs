//! The reader as a whole: configs that are right, configs that are wrong, and the one that comes with the program.

mod right;
mod shipped;
mod wrong;
