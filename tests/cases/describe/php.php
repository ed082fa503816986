<?php

/**
 * Adds. More.
 * @param int $a
 */
#[Pure(x: 1)]
function add(int $a, callable $f = null, array $x = ['a' => [1], 'b' => ')']): ?int {
    return add($a);
}

/** Store of things */
final class Store extends Base {
    /** Makes. */
    public function __construct(private readonly string $p = "(") {}
    # Gets it
    public static function &get(...$x) { return 1; }
}
