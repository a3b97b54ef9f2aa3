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
#include "sim/sweep/row.h"

namespace oscsim::sweep {

struct Condition::Expression {
  std::string op;  // "or", a comparison, + - * /, "path", "name" or "number"
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

// A word that is neither a parameter nor a name to compare one with.
[[noreturn]] void refuse_word(const std::string& word) {
  const std::vector<std::string>& results = row_columns();
  if (std::ranges::find(results, word) != results.end())
    throw Fault{
        fmt::format("'{}' is a result: conditions choose points before they run; choose among the rows of "
                    "results.jsonl by it",
                    config::excerpt(word))};
  throw Fault{fmt::format("'{}' is no parameter{}", config::excerpt(word), did_you_mean_parameter(word))};
}

class Parser {
 public:
  using Names = std::vector<std::pair<std::string, std::string>>;

  Parser(const std::string& text, std::vector<std::string>& paths, Names& names)
      : lexer_(text), paths_(paths), names_(names) {
    advance();
  }

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
    Pointer right = sum();
    const bool may_name = op == "==" || op == "!=";
    for (const auto& [name, path] : {std::pair(left.get(), right.get()), {right.get(), left.get()}}) {
      if (name->op != "name") continue;
      const auto& word = std::get<std::string>(name->value);
      if (!may_name || path->op != "path") refuse_word(word);
      names_.emplace_back(std::get<std::string>(path->value), word);
    }
    return joined_by(op, std::move(left), std::move(right));
  }

  // A side of + - * /.
  static void refuse_name(const Expression& side) {
    if (side.op == "name") refuse_word(std::get<std::string>(side.value));
  }

  static Pointer calculated(std::string op, Pointer left, Pointer right) {
    refuse_name(*left);
    refuse_name(*right);
    return joined_by(std::move(op), std::move(left), std::move(right));
  }

  bool is_symbol(std::string_view one, std::string_view other) const {
    return token_.kind == Token::Kind::symbol && (token_.text == one || token_.text == other);
  }

  Pointer sum() {
    Pointer all = product();
    while (is_symbol("+", "-")) {
      const std::string op = token_.text;
      advance();
      all = calculated(op, std::move(all), product());
    }
    return all;
  }

  Pointer product() {
    Pointer all = atom();
    while (is_symbol("*", "/")) {
      const std::string op = token_.text;
      advance();
      all = calculated(op, std::move(all), atom());
    }
    return all;
  }

  Pointer atom() {
    const Token token = token_;
    advance();
    switch (token.kind) {
      case Token::Kind::number:
        if (const auto number = quantity(token.text))
          return std::make_unique<Expression>(Expression{"number", *number});
        throw Fault{fmt::format("'{}' is no number and no quantity", token.text)};
      case Token::Kind::word:
        return word(token.text);
      case Token::Kind::symbol:
        if (token.text == "(") return parenthesis();
        throw Fault{fmt::format("'{}' is not expected", token.text)};
      case Token::Kind::end:
        break;
    }
    throw Fault{"it ends too early"};
  }

  Pointer parenthesis() {
    if (++depth_ > Condition::kDeepest)
      throw Fault{fmt::format("more than {} parentheses in each other", Condition::kDeepest)};
    Pointer inner = sum();
    if (!is_symbol(")", ")")) throw Fault{"a ')' is missing"};
    advance();
    --depth_;
    return inner;
  }

  // With a dot or the name of a file's document: a parameter; otherwise a name.
  Pointer word(const std::string& text) {
    const std::vector<std::string>& documents = parameter_documents();
    const bool is_path = text.find('.') != std::string::npos || std::ranges::find(documents, text) != documents.end();
    if (!is_path) return std::make_unique<Expression>(Expression{"name", text});
    paths_.push_back(text);
    return std::make_unique<Expression>(Expression{"path", text});
  }

  Lexer lexer_;
  std::vector<std::string>& paths_;
  Names& names_;
  Token token_;
  int depth_ = 0;
};

Value arithmetic(const std::string& op, const Value& left, const Value& right) {
  const double* a = std::get_if<double>(&left);
  const double* b = std::get_if<double>(&right);
  if (a == nullptr || b == nullptr) return {};
  const double result = op == "+" ? *a + *b : op == "-" ? *a - *b : op == "*" ? *a * *b : *a / *b;
  return std::isfinite(result) ? Value(result) : Value();
}

Value value_of(const Expression& expression, const Condition::Lookup& lookup) {
  if (expression.op == "number" || expression.op == "name") return expression.value;
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

using IsNumber = std::function<bool(const std::string& path)>;

// Whether a side is a number; Fault when it calculates with what is none.
bool is_number(const Expression& side, const IsNumber& of_path) {
  if (side.op == "number" || side.op == "name") return side.op == "number";
  if (side.op == "path") return of_path(std::get<std::string>(side.value));
  for (const Pointer* part : {&side.left, &side.right})
    if (!is_number(**part, of_path))
      throw Fault{fmt::format("'{}' is no number: {} needs numbers", std::get<std::string>((*part)->value), side.op)};
  return true;
}

void check_kinds_of(const Expression& expression, const IsNumber& of_path) {
  if (expression.op == "or") {
    check_kinds_of(*expression.left, of_path);
    return check_kinds_of(*expression.right, of_path);
  }
  const bool left = is_number(*expression.left, of_path), right = is_number(*expression.right, of_path);
  if (left && right) return;
  const Expression& text = left ? *expression.right : *expression.left;
  const auto& name = std::get<std::string>(text.value);
  if (left != right)
    throw Fault{fmt::format("'{}' is no number, and the other side of {} is one", name, expression.op)};
  if (expression.op != "==" && expression.op != "!=")
    throw Fault{fmt::format("'{}' is no number: it can only be == or !=", name)};
}

std::string message_of(const std::string& text, const Fault& fault) {
  return fmt::format("condition '{}': {}\n  write for example machine.core.buffers.l0a <= 64KiB", config::excerpt(text),
                     fault.message);
}

}  // namespace

Condition::Condition(const std::string& text, const config::Place& place, config::Problems& problems)
    : place_(place), text_(text) {
  try {
    if (text.size() > kLongest) throw Fault{fmt::format("{} characters; allowed: up to {}", text.size(), kLongest)};
    root_ = Parser(text, paths_, names_).condition();
  } catch (const Fault& fault) {
    paths_.clear();
    names_.clear();
    problems.add(place, message_of(text, fault));
  }
}

void Condition::check_kinds(const std::function<bool(const std::string&)>& of_path, config::Problems& problems) const {
  try {
    if (root_ != nullptr) check_kinds_of(*root_, of_path);
  } catch (const Fault& fault) {
    problems.add(place_, message_of(text_, fault));
  }
}

Condition::~Condition() = default;
Condition::Condition(Condition&&) noexcept = default;
Condition& Condition::operator=(Condition&&) noexcept = default;

bool Condition::holds(const Lookup& lookup) const {
  return root_ != nullptr && is_true(*root_, lookup);
}

}  // namespace oscsim::sweep
