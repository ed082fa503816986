/// Brief here.
/// More.
template <typename T, int N = (3 > 2)>
class Vec : public Base<T> {
public:
    /*! \brief Makes it. */
    [[nodiscard]] explicit Vec(size_t n = f(1, 2), std::function<void(int)> cb = [](int) {}) : n_(n), cb_(cb) {}
    T operator()(int x) const { return x; }
    explicit operator bool() const { return true; }
    bool operator==(const Vec& o) const { return true; }
    ~Vec() { Vec(1); }
};

//! Gets one.
template <class T>
auto Vec<T>::get(int i, const char* s = R"x(()")x") const noexcept -> decltype(f(i)) {
    return 1'000;
}

namespace a {
/**
 * Sums up; cf. Knuth.
 */
constexpr long long sum(std::initializer_list<std::pair<int, int>> xs) { return 0; }
}
