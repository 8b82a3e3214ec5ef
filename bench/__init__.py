"""Side-by-side benchmarks against peers. Each script prints one Markdown row; `bench/README.md` keeps them."""
