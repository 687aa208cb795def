// Package glob matches paths against Pachyderm's patterns: * (no slash), **
// (slashes too), ?, [a-z], [!x] or [^x], {a,b}, the extended forms @( ) +( )
// ?( ) *( ) !( ) with alternatives separated by |, and \ before a literal.
//
// A pattern becomes a tree, and matching moves a set of positions through it,
// so that the time is bounded by the lengths of pattern and path, whatever a
// client sends.
package glob
