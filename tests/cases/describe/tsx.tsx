/** A list of things. */
export function List<T,>({ items }: { items: T[] }): JSX.Element { return <ul>{items}</ul>; }
