/* Copyright */

/** @brief Adds two numbers. More.
 *  @param a first */
static inline int add(int a, int (*callback)(void *, int), const char *s) {
    return add(a, 0, "(");
}

/* K&R style,
   without stars. */
int
old(a, b)
    int a;
    char *b;
{
    return 1;
}

/// Reads it.
/// \param x no
struct list *list(struct list *l, char c[static ')' - 40]) { return l; }

// one
// line (each)
EXPORT(int) exported (void) { return 0; }

/** A point. */
struct point { int x; int y; };

/** The larger one */
#define MAX(a, b) ((a) > (b) ? (a) : (b))

typedef struct { int a; } record_t;
