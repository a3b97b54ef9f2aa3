// SPDX-License-Identifier: Apache-2.0
#include "sim/sweep/condition.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <optional>

#include "models/base/error.h"
#include "sim/config/node.h"
#include "sim/config/units.h"
#include "sim/sweep/parameter.h"

namespace oscsim::sweep {

struct Condition::Expression {
  std::string op;  // "or", a comparison, + - * /, "path" or "value"
  Value value{};
  std::unique_ptr<Expression> left{}, right{};
};

namespace {

using Expression = Condition::Expression;
using Pointer = std::unique_ptr<Expression>;

// What is wrong with an expression.
struct Fault {
  std::string message;
};

struct Token {
  enum class Kind { end, number, word, symbol } kind = Kind::end;
  std::string text;
};

// A number with its unit, in base units.
std::optional<double> quantity(const std::string& text) {
  if (const auto number = config::parse_number(text); number.value) return number.value;
  for (const config::UnitSystem* units :
       {&config::kBytesUnits, &config::kCyclesUnits, &config::kMacsUnits, &config::kHertzUnits,
        &config::kBytesPerSecondUnits, &config::kBytesPerCycleUnits, &config::kNanosecondsUnits})
    if (const auto parsed = config::parse_measure(text, *units); parsed.value) return parsed.value;
  return std::nullopt;
}

class Lexer {
 public:
  explicit Lexer(const std::string& text) : text_(text) {}

  Token next() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    if (at_ == text_.size()) return {};
    const char first = text_[at_];
    if (std::isdigit(static_cast<unsigned char>(first)) || first == '.') return number();
    if (std::isalpha(static_cast<unsigned char>(first)) || first == '_') return {Token::Kind::word, run("_.")};
    for (const std::string_view symbol : {"<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "(", ")"})
      if (text_.compare(at_, symbol.size(), symbol) == 0) {
        at_ += symbol.size();
        return {Token::Kind::symbol, std::string(symbol)};
      }
    throw Fault{fmt::format("'{}' is not expected", first)};
  }

 private:
  std::string run(std::string_view others) {
    const std::size_t begin = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || others.find(text_[at_]) != std::string_view::npos))
      ++at_;
    return text_.substr(begin, at_ - begin);
  }

  // "1.6TB/s": a slash belongs to the unit when s or cycle stands behind it and a B before it.
  Token number() {
    std::string text = run(".");
    if (text.back() == 'B')
      for (const std::string_view per : {"/cycle", "/s"})
        if (text_.compare(at_, per.size(), per) == 0) {
          text += per;
          at_ += per.size();
          break;
        }
    return {Token::Kind::number, text};
  }

  const std::string& text_;
  std::size_t at_ = 0;
};

bool is_comparison(const Token& token) {
  constexpr std::array<std::string_view, 6> kComparisons{"<", "<=", ">", ">=", "==", "!="};
  return token.kind == Token::Kind::symbol && std::ranges::find(kComparisons, token.text) != kComparisons.end();
}

class Parser {
 public:
  Parser(const std::string& text, std::vector<std::string>& paths) : lexer_(text), paths_(paths) { advance(); }

  Pointer condition() {
    Pointer all = comparison();
    while (token_.kind == Token::Kind::word && token_.text == "or") {
      advance();
      all = joined_by("or", std::move(all), comparison());
    }
    if (token_.kind != Token::Kind::end) throw Fault{fmt::format("'{}' is not expected", token_.text)};
    return all;
  }

 private:
  void advance() { token_ = lexer_.next(); }

  static Pointer joined_by(std::string op, Pointer left, Pointer right) {
    return std::make_unique<Expression>(Expression{std::move(op), {}, std::move(left), std::move(right)});
  }

  Pointer comparison() {
    Pointer left = sum();
    if (!is_comparison(token_)) throw Fault{"no comparison: one of < <= > >= == != is needed"};
    const std::string op = token_.text;
    advance();
    return joined_by(op, std::move(left), sum());
  }

  bool is_symbol(std::string_view one, std::string_view other) const {
    return token_.kind == Token::Kind::symbol && (token_.text == one || token_.text == other);
  }

  Pointer sum() {
    Pointer all = product();
    while (is_symbol("+", "-")) {
      const std::string op = token_.text;
      advance();
      all = joined_by(op, std::move(all), product());
    }
    return all;
  }

  Pointer product() {
    Pointer all = atom();
    while (is_symbol("*", "/")) {
      const std::string op = token_.text;
      advance();
      all = joined_by(op, std::move(all), atom());
    }
    return all;
  }

  Pointer atom() {
    const Token token = token_;
    advance();
    switch (token.kind) {
      case Token::Kind::number:
        if (const auto number = quantity(token.text)) return std::make_unique<Expression>(Expression{"value", *number});
        throw Fault{fmt::format("'{}' is no number and no quantity", token.text)};
      case Token::Kind::word:
        return word(token.text);
      case Token::Kind::symbol:
        if (token.text == "(") {
          Pointer inner = sum();
          if (!is_symbol(")", ")")) throw Fault{"a ')' is missing"};
          advance();
          return inner;
        }
        throw Fault{fmt::format("'{}' is not expected", token.text)};
      case Token::Kind::end:
        break;
    }
    throw Fault{"it ends too early"};
  }

  // With a dot or the name of a file's document: a parameter; otherwise a text.
  Pointer word(const std::string& text) {
    const std::vector<std::string>& documents = parameter_documents();
    const bool is_path = text.find('.') != std::string::npos || std::ranges::find(documents, text) != documents.end();
    if (!is_path) return std::make_unique<Expression>(Expression{"value", text});
    paths_.push_back(text);
    return std::make_unique<Expression>(Expression{"path", text});
  }

  Lexer lexer_;
  std::vector<std::string>& paths_;
  Token token_;
};

Value arithmetic(const std::string& op, const Value& left, const Value& right) {
  const double* a = std::get_if<double>(&left);
  const double* b = std::get_if<double>(&right);
  if (a == nullptr || b == nullptr) return {};
  const double result = op == "+" ? *a + *b : op == "-" ? *a - *b : op == "*" ? *a * *b : *a / *b;
  return std::isfinite(result) ? Value(result) : Value();
}

Value value_of(const Expression& expression, const Condition::Lookup& lookup) {
  if (expression.op == "value") return expression.value;
  if (expression.op == "path") return lookup(std::get<std::string>(expression.value));
  return arithmetic(expression.op, value_of(*expression.left, lookup), value_of(*expression.right, lookup));
}

bool compare(const std::string& op, const Value& left, const Value& right) {
  if (left.index() != right.index() || std::holds_alternative<std::monostate>(left)) return false;
  if (op == "==") return left == right;
  if (op == "!=") return left != right;
  if (!std::holds_alternative<double>(left)) return false;
  const double a = std::get<double>(left), b = std::get<double>(right);
  return op == "<" ? a < b : op == "<=" ? a <= b : op == ">" ? a > b : a >= b;
}

bool is_true(const Expression& expression, const Condition::Lookup& lookup) {
  if (expression.op == "or") return is_true(*expression.left, lookup) || is_true(*expression.right, lookup);
  return compare(expression.op, value_of(*expression.left, lookup), value_of(*expression.right, lookup));
}

}  // namespace

Condition::Condition(const std::string& text, const config::Place& place, config::Problems& problems) : place_(place) {
  try {
    root_ = Parser(text, paths_).condition();
  } catch (const Fault& fault) {
    paths_.clear();
    problems.add(place, fmt::format("condition '{}': {}\n  write for example machine.core.buffers.l0a <= 64KiB",
                                    config::excerpt(text), fault.message));
  }
}

Condition::~Condition() = default;
Condition::Condition(Condition&&) noexcept = default;
Condition& Condition::operator=(Condition&&) noexcept = default;

bool Condition::holds(const Lookup& lookup) const {
  return root_ != nullptr && is_true(*root_, lookup);
}

}  // namespace oscsim::sweep
