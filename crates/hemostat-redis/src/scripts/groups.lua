-- How far the groups of some streams have come.
--
-- ARGV: most unread entries to count, most pending entries to look up, then the streams. Answers with a row for each
-- group, and for each that is registered and was lost: stream, group, whether it exists, pending, oldest pending id or
-- '', oldest unread id or '', least and most unread, entries lost, oldest id of the stream or '', the last sign of
-- life or ''.
--
-- The server's own `lag` is not asked: it is nil or wrong after trims, deletes and failovers. Entries are counted
-- where they stand, from the group's position on or, where that are too many, up to it. Where both are too many, the
-- numbers of the first unread and of the last entry bound them: they count the entries of all streams.

local most, looked = take(2)
most, looked = tonumber(most), tonumber(looked)
local registered, lost, cursors = {}, {}, {}
for name, values in pairs({ groups = registered, lost = lost, cursor = cursors }) do
    local flat = redis.call('HGETALL', prefix .. name)
    for i = 1, #flat, 2 do
        values[flat[i]] = flat[i + 1]
    end
end

local function seq_of(entry)
    local fields = entry[2]
    for i = 1, #fields, 2 do
        if fields[i] == 'seq' then
            return tonumber(fields[i + 1])
        end
    end
end

-- Oldest unread id or '', least and most of them.
local function unread_after(key, position)
    local unread = redis.pcall('XRANGE', key, '(' .. position, '+', 'COUNT', 1)
    -- An error where nothing can stand after the position.
    if unread.err or #unread == 0 then
        return '', 0, 0
    end
    local first = unread[1]
    unread = redis.call('XRANGE', key, '(' .. position, '+', 'COUNT', most + 1)
    if #unread <= most then
        return first[1], #unread, #unread
    end
    local length = redis.call('XLEN', key)
    local read = redis.call('XRANGE', key, '-', position, 'COUNT', most + 1)
    if #read <= most then
        return first[1], length - #read, length - #read
    end
    local bound = length - #read
    local last = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)[1]
    local from, to = seq_of(first), seq_of(last)
    if from and to and from <= to then
        bound = math.min(bound, to - from + 1)
    end
    return first[1], #unread, math.max(bound, #unread)
end

-- How many of the oldest pending entries are not in the stream any more.
local function gone(key, group)
    local count = 0
    for _, pending in ipairs(redis.call('XPENDING', key, group, '-', '+', looked)) do
        if #redis.call('XRANGE', key, pending[1], pending[1]) == 0 then
            count = count + 1
        end
    end
    return count
end

local rows = {}
for _ = 3, #ARGV do
    local stream = take(1)
    local key, suffix = prefix .. stream, ' ' .. stream
    local there = redis.call('EXISTS', key) == 1
    local oldest, last = '', '0-0'
    if there then
        local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
        oldest = first and first[1] or ''
        local info = redis.call('XINFO', 'STREAM', key)
        for i = 1, #info, 2 do
            if info[i] == 'last-generated-id' then
                last = info[i + 1]
            end
        end
    end
    local present = {}
    for _, info in ipairs(there and redis.call('XINFO', 'GROUPS', key) or {}) do
        local group = {}
        for i = 1, #info, 2 do
            group[info[i]] = info[i + 1]
        end
        local field = group.name .. suffix
        present[field] = true
        local pending = redis.call('XPENDING', key, group.name)
        local unread, least, bound = unread_after(key, group['last-delivered-id'])
        table.insert(rows, {
            stream, group.name, 1, pending[1], pending[2] or '', unread, least, bound,
            tonumber(lost[field] or '0') + (pending[1] > 0 and gone(key, group.name) or 0), oldest,
            registered[field] or '',
        })
    end
    for field, seen in pairs(registered) do
        if not present[field] and string.sub(field, -#suffix) == suffix then
            local cursor = string.match(cursors[field] or '', '^%S+') or '0-0'
            if is_later(cursor, last) then
                -- Another stream than the cursor speaks of; see `join.lua`.
                cursor = '0-0'
            end
            local unread, least, bound = '', 0, 0
            if there then
                unread, least, bound = unread_after(key, cursor)
            end
            table.insert(rows, {
                stream, string.sub(field, 1, -#suffix - 1), 0, 0, '', unread, least, bound,
                tonumber(lost[field] or '0'), oldest, seen,
            })
        end
    end
end
return rows
