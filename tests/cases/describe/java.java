package a;

/**
 * A store of {@link Thing}s, {@code List<T>} &amp; more. And more.
 * <p>Another paragraph.
 * @author me
 */
@Entity(name = "x(", on = { A.class })
public class Store<T extends Comparable<T>> extends Base implements Foo {
    /** Opens. */
    public Store(String path) { this.path = path; }

    /**
     * Finds the things
     *
     * @param key the key (x)
     * @throws IOException never
     */
    @Override
    @Retry(times = 3, on = { A.class, B.class })
    public <K extends Comparable<K>> List<T> find(@NonNull @Size(min = 1) K key, Function<K, T> f) throws IOException, Foo {
        return find(null);
    }

    /** {@inheritDoc} */
    int[] numbers(final int... n) { return n; }

    /** @return the size */
    int size() { return 1; }
}

/** A point. */
record Point(int x, int y) {}

// Works.
@interface Marker { String value() default "("; }
