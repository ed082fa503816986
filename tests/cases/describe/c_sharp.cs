namespace A {
/// <summary>
/// Finds the <see cref="T:A.Thing"/> by <paramref name="key"/>. More.
/// </summary>
/// <param name="key">the key</param>
[Obsolete("x(")]
public class Store<T> : Base(1) {
    /// <summary>Gets it.</summary>
    [HttpGet("{id}"), Foo(new[] { 1 })]
    public async Task<int> Get<K>(K key, Func<int, (int, int)> f = default, string s = @"\(""") where K : class {
        return Get(1);
    }

    /// <param name="a">no</param>
    public Store(int a) : base(a) { }
    // Adds
    public static Store<T> operator +(Store<T> a, Store<T> b) { return a; }
    int Twice(int x) => x * 2;
}

/// <summary>A point</summary>
public record Point(int X, int Y);

/** <summary>Handles.</summary> */
public delegate void Handler(object sender, EventArgs e);
}
