# frozen_string_literal: true

# A store.
class Store < Base # of things
  # Opens it, e.g. for reading. More.
  #
  # @param [String] path the path
  def open(path, mode: "r(", &block)
    1
  end

  # Without parentheses
  def put key, value = {}
    (1)
  end

  # Whether it is empty? or not.
  def empty?
    size == 0
  end

  # rubocop:disable Style/Foo
  # Squares.
  def square(x) = x * x
  def self.make(*args, **kw); end
  def ==(other)
    1
  end
end
