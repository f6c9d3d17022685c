-- What the scripts share; put before each of them. KEYS[1] is always `<namespace>:{<partition>}:seq`: all keys
-- of a partition have its hash tag, so the others are made from it and every script stays in one slot.

local prefix = string.sub(KEYS[1], 1, -4)
local taken = 0

-- The next arguments.
local function take(count)
    local first = taken + 1
    taken = taken + count
    return unpack(ARGV, first, taken)
end

-- Numbers as Redis reads them; `tostring` would write 1.79e+15.
local function text(number)
    return string.format('%.0f', number)
end

-- Log time in microseconds.
local function now()
    local time = redis.call('TIME')
    return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

-- Whether the entry id `a` stands after `b`.
local function is_later(a, b)
    local a_ms, a_n = string.match(a, '^(%d+)-(%d+)$')
    local b_ms, b_n = string.match(b, '^(%d+)-(%d+)$')
    if a_ms ~= b_ms then
        return tonumber(a_ms) > tonumber(b_ms)
    end
    return tonumber(a_n) > tonumber(b_n)
end

-- The position just before the entry `id`. Beyond 2^53 numbers are inexact here; an earlier position is always
-- safe, it repeats entries that are duplicates then.
local function before(id)
    local exact = 9007199254740992
    local ms, n = string.match(id, '^(%d+)-(%d+)$')
    if tonumber(n) > 0 then
        return ms .. '-' .. (tonumber(n) < exact and text(tonumber(n) - 1) or '0')
    elseif tonumber(ms) > 0 and tonumber(ms) < exact then
        return text(tonumber(ms) - 1) .. '-18446744073709551615'
    end
    return '0-0'
end
