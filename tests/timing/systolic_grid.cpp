// SPDX-License-Identifier: Apache-2.0
#include "tests/timing/systolic_grid.h"

#include <deque>

namespace oscsim::units::grid {
namespace {

// A value on its way: the fold it belongs to and its place along the stream, or the row it is meant for.
template <class T>
struct Tagged {
  T value{};
  std::size_t fold = 0;
  std::int64_t index = 0;
};
template <class T>
using Slot = std::optional<Tagged<T>>;

// What leaves the multiplier of an element, `latency` cycles after it entered.
class Multiplier {
 public:
  explicit Multiplier(std::int64_t latency) : stages_(static_cast<std::size_t>(latency)) {}
  Slot<std::int64_t> pass(const Slot<std::int64_t>& entering) {
    stages_.push_back(entering);
    const Slot<std::int64_t> leaving = stages_.front();
    stages_.pop_front();
    return leaving;
  }

 private:
  std::deque<Slot<std::int64_t>> stages_;
};

struct Fold {
  std::int64_t start = 0;                        // operands may enter from the next cycle on
  std::int64_t first_row = 0, first_column = 0;  // of what is cut into folds
  std::int64_t outputs = 0;                      // that have left
};

// What both kinds of array share: ports, folds and notes. Cycles count from 1.
class Array {
 public:
  Array(const SystolicShape& shape, std::int64_t along_rows, std::int64_t along_columns, std::int64_t stream,
        std::optional<std::int64_t> period)
      : shape_(shape), rows_(shape.rows), columns_(shape.columns), stream_length_(stream), period_(period) {
    for (std::int64_t column = 0; column < along_columns; column += columns_)
      for (std::int64_t row = 0; row < along_rows; row += rows_) pending_.push_back({0, row, column, 0});
  }
  virtual ~Array() = default;

  // Runs all folds; `run.product` has its size already.
  void simulate(Run& run) {
    while (!pending_.empty() || folds_.back().outputs < outputs_per_fold()) {
      start_fold(cycle_);
      ++cycle_;
      step(run);
    }
    run.drain = first_fold_end_ - last_multiply_;
    run.stream = multiplies_;
    run.fill = last_multiply_ - multiplies_;
  }

 protected:
  virtual void step(Run& run) = 0;
  virtual std::int64_t outputs_per_fold() const = 0;

  // The fold whose value number `index` passes a port in this cycle, when it passes `delay` cycles after the fold's
  // first cycle; `length` values pass.
  std::optional<std::pair<std::size_t, std::int64_t>> passing(std::int64_t delay, std::int64_t length) const {
    std::optional<std::pair<std::size_t, std::int64_t>> found;
    for (std::size_t fold = 0; fold < folds_.size(); ++fold) {
      const std::int64_t index = cycle_ - 1 - folds_[fold].start - delay;
      if (index < 0 || index >= length) continue;
      if (found) throw Hazard("two folds at one port");
      found = {fold, index};
    }
    return found;
  }

  void note_multiply(std::size_t fold, bool counted) {
    if (fold != 0 || !counted) return;
    ++multiplies_;
    last_multiply_ = cycle_;
  }

  void note_output(Run& run, std::size_t fold) {
    run.last_output = cycle_;
    if (++folds_[fold].outputs == outputs_per_fold() && fold == 0) first_fold_end_ = cycle_;
  }

  std::size_t at(std::int64_t row, std::int64_t column) const {
    return static_cast<std::size_t>(row * columns_ + column);
  }

  SystolicShape shape_;
  std::int64_t rows_, columns_, stream_length_;
  std::int64_t cycle_ = 0;
  std::vector<Fold> folds_;

 private:
  void start_fold(std::int64_t now) {
    if (pending_.empty()) return;
    const bool due = folds_.empty() ||
                     (period_ ? now == folds_.back().start + *period_ : folds_.back().outputs == outputs_per_fold());
    if (!due) return;
    folds_.push_back(pending_.front());
    folds_.back().start = now;
    pending_.erase(pending_.begin());
  }

  std::vector<Fold> pending_;
  std::optional<std::int64_t> period_;
  std::int64_t multiplies_ = 0, last_multiply_ = 0, first_fold_end_ = 0;
};

// An element of an operand, zero beyond its edges.
Element element(const Operand& operand, std::int64_t row, std::int64_t step) {
  if (row >= std::ssize(operand) || step >= std::ssize(operand.front())) return {};
  return operand[static_cast<std::size_t>(row)][static_cast<std::size_t>(step)];
}

void add(Product& product, std::int64_t row, std::int64_t column, std::int64_t value) {
  if (row < std::ssize(product) && column < std::ssize(product.front()))
    product[static_cast<std::size_t>(row)][static_cast<std::size_t>(column)] += value;
}

// One operand is held: reduction along the rows, its rows along the columns. It sinks from the top into the register
// behind the one in use; the other operand enters from the left, sums leave at the bottom. Registers behind are each
// their own and keep a value that has arrived, or one chain, which shifts as a whole whenever a value enters.
class StationaryArray : public Array {
 public:
  StationaryArray(const SystolicShape& shape, const Operand& held, const Operand& streamed,
                  std::optional<std::int64_t> period)
      : Array(shape, std::ssize(held.front()), std::ssize(held), std::ssize(streamed), period),
        held_(held),
        streamed_(streamed),
        elements_(static_cast<std::size_t>(rows_ * columns_)),
        multipliers_(elements_.size(), Multiplier(shape.element_latency.count())) {}

 private:
  struct Pe {
    Slot<Element> behind;  // index: the row it sinks to
    Slot<Element> in_use;
    Slot<Element> operand;
    Slot<std::int64_t> sum;
  };
  using Elements = std::vector<Pe>;

  std::int64_t outputs_per_fold() const override { return columns_ * stream_length_; }

  Slot<Element> held_at_top(Run& run, std::int64_t column) const {
    const auto entering = passing(column, rows_);
    if (!entering) return {};
    run.last_operand = cycle_;
    const auto [fold, number] = *entering;
    const std::int64_t row = rows_ - 1 - number;
    return Tagged<Element>{element(held_, folds_[fold].first_column + column, folds_[fold].first_row + row), fold, row};
  }

  Slot<Element> operand_at_left(Run& run, std::int64_t row) const {
    const auto entering = passing(rows_ + row, stream_length_);
    if (!entering) return {};
    run.last_operand = cycle_;
    const auto [fold, number] = *entering;
    return Tagged<Element>{element(streamed_, number, folds_[fold].first_row + row), fold, number};
  }

  void step(Run& run) override {
    const Elements before = elements_;
    for (std::int64_t row = 0; row < rows_; ++row)
      for (std::int64_t column = 0; column < columns_; ++column) {
        Pe& pe = elements_[at(row, column)];
        const Pe* above = row > 0 ? &before[at(row - 1, column)] : nullptr;
        pe.operand = column > 0 ? before[at(row, column - 1)].operand : operand_at_left(run, row);
        if (pe.operand && (!pe.in_use || pe.in_use->fold != pe.operand->fold)) {
          if (!pe.behind || pe.behind->fold != pe.operand->fold || pe.behind->index != row)
            throw Hazard("a stream meets an element that is not filled");
          pe.in_use = pe.behind;
          pe.behind.reset();
        }
        if (pe.behind && pe.behind->index > row) pe.behind.reset();  // the row below takes it
        const Slot<Element> sinking = above == nullptr                               ? held_at_top(run, column)
                                      : above->behind && above->behind->index >= row ? above->behind
                                                                                     : Slot<Element>{};
        if (sinking) {
          if (pe.behind) throw Hazard("an element is filled before its content is in use");
          pe.behind = sinking;
        }
        multiply(pe, above ? above->sum : Slot<std::int64_t>{}, row, column);
        if (row == rows_ - 1 && pe.sum) {
          const Fold& fold = folds_[pe.sum->fold];
          add(run.product, pe.sum->index, fold.first_column + column, pe.sum->value);
          note_output(run, pe.sum->fold);
        }
      }
    if (shape_.fold_registers == FoldRegisters::shadow_weights) check_chains(before);
  }

  void check_chains(const Elements& before) const {
    for (std::int64_t column = 0; column < columns_; ++column) {
      if (!passing(column, rows_)) continue;  // nothing enters, nothing shifts
      for (std::int64_t row = 0; row < rows_; ++row) {
        const Slot<Element>& arrived = before[at(row, column)].behind;
        const Slot<Element>& in_use = elements_[at(row, column)].in_use;
        if (arrived && arrived->index == row && (!in_use || in_use->fold != arrived->fold))
          throw Hazard("a chain shifts a value past the element that it is for");
      }
    }
  }

  void multiply(Pe& pe, const Slot<std::int64_t>& from_above, std::int64_t row, std::int64_t column) {
    pe.sum.reset();
    Slot<std::int64_t> entering;
    if (pe.operand) {
      note_multiply(pe.operand->fold, row == 0 && column == 0);
      entering = Tagged<std::int64_t>{dot(pe.operand->value, pe.in_use->value), pe.operand->fold, pe.operand->index};
    }
    const Slot<std::int64_t> product = multipliers_[at(row, column)].pass(entering);
    if (!product) {
      if (from_above) throw Hazard("a sum without its product");
      return;
    }
    if (row > 0 && (!from_above || from_above->fold != product->fold || from_above->index != product->index))
      throw Hazard("a product without its sum");
    pe.sum = product;
    if (from_above) pe.sum->value += from_above->value;
  }

  const Operand& held_;
  const Operand& streamed_;
  Elements elements_;
  std::vector<Multiplier> multipliers_;
};

// A enters from the left, B from the top; finished outputs go down their column, or along their row, once all of it is
// finished; as one chain, once the whole array is, and nothing may finish before the chain is empty.
class OutputArray : public Array {
 public:
  OutputArray(const SystolicShape& shape, const Operand& a, const Operand& b, std::optional<std::int64_t> period)
      : Array(shape, std::ssize(a), std::ssize(b), std::ssize(a.front()), period),
        a_(a),
        b_(b),
        elements_(static_cast<std::size_t>(rows_ * columns_)),
        multipliers_(elements_.size(), Multiplier(shape.element_latency.count())) {}

 private:
  struct Pe {
    Slot<Element> a, b;
    std::int64_t sum = 0;
    Slot<std::int64_t> finished;  // index: the row or column it was computed in
  };

  std::int64_t outputs_per_fold() const override { return rows_ * columns_; }

  Slot<Element> entering(Run& run, const Operand& operand, std::int64_t lane, std::int64_t Fold::*first) const {
    const auto found = passing(lane, stream_length_);
    if (!found) return {};
    run.last_operand = cycle_;
    const auto [fold, number] = *found;
    return Tagged<Element>{element(operand, folds_[fold].*first + lane, number), fold, number};
  }

  void step(Run& run) override {
    shift_out(run);
    const std::vector<Pe> before = elements_;
    for (std::int64_t row = 0; row < rows_; ++row)
      for (std::int64_t column = 0; column < columns_; ++column) {
        Pe& pe = elements_[at(row, column)];
        pe.a = column > 0 ? before[at(row, column - 1)].a : entering(run, a_, row, &Fold::first_row);
        pe.b = row > 0 ? before[at(row - 1, column)].b : entering(run, b_, column, &Fold::first_column);
        if (pe.a.has_value() != pe.b.has_value()) throw Hazard("an operand without its partner");
        Slot<std::int64_t> entering;
        if (pe.a) {
          if (pe.a->fold != pe.b->fold || pe.a->index != pe.b->index)
            throw Hazard("operands that do not belong together");
          note_multiply(pe.a->fold, row == rows_ - 1 && column == columns_ - 1);
          entering = Tagged<std::int64_t>{dot(pe.a->value, pe.b->value), pe.a->fold, pe.a->index};
        }
        const Slot<std::int64_t> product = multipliers_[at(row, column)].pass(entering);
        if (!product) continue;
        pe.sum = (product->index > 0 ? pe.sum : 0) + product->value;
        if (product->index < stream_length_ - 1) continue;
        const bool chain_is_full =
            one_chain() && product->fold > 0 && folds_[product->fold - 1].outputs < outputs_per_fold();
        if (pe.finished || chain_is_full) throw Hazard("an output finished before the one before it has gone");
        pe.finished = Tagged<std::int64_t>{pe.sum, product->fold, along_rows() ? column : row};
        run.last_sum = cycle_;
      }
  }

  bool along_rows() const { return shape_.drain_side == DrainSide::rows; }
  bool one_chain() const { return shape_.fold_registers == FoldRegisters::output_register; }
  // Of a column from its top, or of a row from its left.
  Pe& of_lane(std::int64_t lane, std::int64_t place) {
    return elements_[along_rows() ? at(lane, place) : at(place, lane)];
  }

  // A lane is finished when its last element has an output of the fold: those before it then go a place per cycle.
  void shift_out(Run& run) {
    const std::int64_t lanes = along_rows() ? rows_ : columns_, length = along_rows() ? columns_ : rows_;
    const Slot<std::int64_t> corner = of_lane(lanes - 1, length - 1).finished;
    if (one_chain() && corner) chain_moves_ = corner->fold;
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const Slot<std::int64_t> last = of_lane(lane, length - 1).finished;
      if (!last || (one_chain() && chain_moves_ != last->fold)) continue;
      const Fold& fold = folds_[last->fold];
      const std::int64_t row = along_rows() ? lane : last->index, column = along_rows() ? last->index : lane;
      add(run.product, fold.first_row + row, fold.first_column + column, last->value);
      note_output(run, last->fold);
      of_lane(lane, length - 1).finished.reset();
      for (std::int64_t place = length - 1; place > 0; --place) {
        Pe &pe = of_lane(lane, place), &before = of_lane(lane, place - 1);
        if (!before.finished || before.finished->fold != last->fold) continue;
        if (pe.finished) throw Hazard("an output is shifted onto another");
        pe.finished = before.finished;
        before.finished.reset();
      }
    }
  }

  const Operand& a_;
  const Operand& b_;
  std::vector<Pe> elements_;
  std::vector<Multiplier> multipliers_;
  std::optional<std::size_t> chain_moves_;  // the fold whose outputs leave the chain
};

Product zeros(std::int64_t rows, std::int64_t columns) {
  return Product(static_cast<std::size_t>(rows), std::vector<std::int64_t>(static_cast<std::size_t>(columns)));
}

Product transposed(const Product& product) {
  Product other = zeros(std::ssize(product.front()), std::ssize(product));
  for (std::size_t row = 0; row < product.size(); ++row)
    for (std::size_t column = 0; column < product[row].size(); ++column) other[column][row] = product[row][column];
  return other;
}

}  // namespace

Run multiply(const SystolicShape& shape, const Operand& a, const Operand& b, std::optional<std::int64_t> period) {
  Run run;
  if (shape.dataflow == Dataflow::output_stationary) {
    run.product = zeros(std::ssize(a), std::ssize(b));
    OutputArray(shape, a, b, period).simulate(run);
  } else if (shape.dataflow == Dataflow::weight_stationary) {
    run.product = zeros(std::ssize(a), std::ssize(b));
    StationaryArray(shape, b, a, period).simulate(run);
  } else {
    run.product = zeros(std::ssize(b), std::ssize(a));
    StationaryArray(shape, a, b, period).simulate(run);
    run.product = transposed(run.product);
  }
  return run;
}

}  // namespace oscsim::units::grid
