// SPDX-License-Identifier: Apache-2.0
#include "models/schemes/operands.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

#include <cstring>

namespace oscsim {
namespace {

using numerics::Matrix;
using numerics::MatrixView;

// The columns that the table names, in the source's dtype; zero for a group without an outlier.
Matrix gather_columns(MatrixView source, const ChannelTable& table) {
  const auto groups = static_cast<std::int64_t>(table.channels.size());
  const std::size_t size = numerics::size_of(source.dtype());
  Matrix gathered(source.dtype(), source.rows(), groups);
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, source.rows()), [&](const auto& rows) {
    for (std::int64_t row = rows.begin(); row < rows.end(); ++row) {
      const std::byte* from = source.row_data(row);
      std::byte* to = gathered.data() + static_cast<std::size_t>(row * groups) * size;
      for (std::int64_t group = 0; group < groups; ++group) {
        const std::int16_t channel = table.channels[group];
        if (channel < 0)
          std::memset(to + group * size, 0, size);
        else
          std::memcpy(to + group * size, from + static_cast<std::size_t>(group * table.group + channel) * size, size);
      }
    }
  });
  return gathered;
}

// A copy with the table's channels set to zero.
Matrix without_columns(MatrixView source, const ChannelTable& table) {
  const std::size_t size = numerics::size_of(source.dtype());
  const std::size_t row_size = static_cast<std::size_t>(source.cols()) * size;
  Matrix rest(source.dtype(), source.rows(), source.cols());
  tbb::parallel_for(tbb::blocked_range<std::int64_t>(0, source.rows()), [&](const auto& rows) {
    for (std::int64_t row = rows.begin(); row < rows.end(); ++row) {
      std::byte* to = rest.data() + static_cast<std::size_t>(row) * row_size;
      std::memcpy(to, source.row_data(row), row_size);
      for (std::size_t group = 0; group < table.channels.size(); ++group)
        if (table.channels[group] >= 0) std::memset(to + (group * table.group + table.channels[group]) * size, 0, size);
    }
  });
  return rest;
}

void check_table(const GemmPlan& plan, MatrixView matrix, const ChannelTable* table) {
  ensure(table != nullptr, "a plan that gathers needs a channel table");
  const std::int64_t group = plan.activation.gather_group;
  ensure(table->group == group, "channel table for groups of {}, the plan gathers groups of {}", table->group, group);
  const auto groups = static_cast<std::int64_t>(table->channels.size());
  ensure(groups == tiles_of(matrix.cols(), group), "channel table of {} groups for {} channels", groups, matrix.cols());
  for (std::int64_t i = 0; i < groups; ++i)
    ensure(table->channels[i] < group && i * group + table->channels[i] < matrix.cols(),
           "channel {} of group {} lies outside {} channels", table->channels[i], i, matrix.cols());
}

PreparedOperand prepare(const GemmPlan& plan, MatrixView matrix, const ChannelTable* table, bool zero_channels,
                        const Cast& cast) {
  PreparedOperand operand;
  if (plan.activation.gather_group > 0) {
    check_table(plan, matrix, table);
    operand.branch = cast(plan.activation.branch_format, gather_columns(matrix, *table).view(), plan.cast);
    if (zero_channels) {
      operand.main = cast(plan.activation.format, without_columns(matrix, *table).view(), plan.cast);
      return operand;
    }
  }
  operand.main = cast(plan.activation.format, matrix, plan.cast);
  return operand;
}

}  // namespace

PreparedOperand prepare_activation(const GemmPlan& plan, MatrixView x, const ChannelTable* table, const Cast& cast) {
  return prepare(plan, x, table, true, cast);
}

PreparedOperand prepare_weight(const GemmPlan& plan, MatrixView w, const ChannelTable* table, const Cast& cast) {
  return prepare(plan, w, table, plan.zero_weight_rows, cast);
}

numerics::GemmOperands operands_of(const GemmPlan& plan, const PreparedOperand& activation,
                                   const PreparedOperand& weight) {
  return {&activation.main, &weight.main, activation.branch ? &*activation.branch : nullptr,
          weight.branch ? &*weight.branch : nullptr, plan.join};
}

}  // namespace oscsim
