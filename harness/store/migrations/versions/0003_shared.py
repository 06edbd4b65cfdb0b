"""What many runs share is kept once; published numbers; increments of adapters; runs that tune."""

import hashlib
import json
import zlib
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

KEYS = 1000
SETTING = ('model', 'data', 'prompt', 'score')
OWN = ('run_id', 'train_id', 'seed')
PROVENANCES = {'trainings': ('train_id',), 'attempts': ('id',), 'scorings': ('run', 'task')}


def upgrade() -> None:
    """One step for each of the four, as below."""
    _documents()
    _published()
    _tuning()
    _increments()


def _documents() -> None:
    """Specifications, and what provenance says alike, become documents that rows refer to."""
    op.create_table('documents',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_documents')),
    sa.UniqueConstraint('digest', name=op.f('uq_documents_digest'))
    )
    for table, column in (('runs', 'setting'), ('runs', 'point'), *((each, 'shared') for each in PROVENANCES)):
        op.add_column(table, sa.Column(column, sa.Integer(), nullable=True))
    documents = _Documents(op.get_bind())
    _move_specs(op.get_bind(), documents)
    for table, keys in PROVENANCES.items():
        _move_provenance(op.get_bind(), documents, table, keys)
    with op.batch_alter_table('runs') as runs:
        runs.drop_column('spec')
        for column in ('setting', 'point'):
            runs.alter_column(column, existing_type=sa.Integer(), nullable=False)
            runs.create_foreign_key(op.f(f'fk_runs_{column}'), 'documents', [column], ['id'])
    for table in PROVENANCES:
        with op.batch_alter_table(table) as rows:
            rows.create_foreign_key(op.f(f'fk_{table}_shared'), 'documents', ['shared'], ['id'])


class _Documents:
    """Adds documents, in the form of this schema (harness/store/documents.py)."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._ids: dict[str, int] = {}

    def keep(self, value: dict) -> int:
        text = json.dumps(value, separators=(',', ':')).encode()
        digest = hashlib.sha256(text).hexdigest()
        if digest not in self._ids:
            self._connection.execute(sa.text('INSERT INTO documents (digest, content) VALUES (:digest, :content)'),
                                     {'digest': digest, 'content': zlib.compress(text)})
            query = sa.text('SELECT id FROM documents WHERE digest = :digest')
            self._ids[digest] = self._connection.execute(query, {'digest': digest}).scalar_one()
        return self._ids[digest]


def _pages(connection: sa.Connection, table: sa.TableClause, key: str) -> Iterator[list[sa.Row]]:
    """All rows, those of some thousand keys at a time."""
    keys = connection.scalars(sa.select(table.c[key]).distinct().order_by(table.c[key])).all()
    for start in range(0, len(keys), KEYS):
        page = keys[start:start + KEYS]
        yield connection.execute(sa.select(table).where(table.c[key].between(page[0], page[-1]))).all()


def _move_specs(connection: sa.Connection, documents: _Documents) -> None:
    names = ('id', *OWN, 'setting', 'point')
    runs = sa.table('runs', *map(sa.column, names), sa.column('spec', sa.JSON()))
    change = sa.update(runs).where(runs.c.id == sa.bindparam('key'))
    for rows in _pages(connection, runs, 'id'):
        moved = []
        for row in rows:
            setting = {name: row.spec[name] for name in SETTING if name in row.spec}
            point = {name: None if name in OWN and value == getattr(row, name) else value
                     for name, value in row.spec.items() if name not in setting}
            moved.append({'key': row.id, 'setting': documents.keep(setting), 'point': documents.keep(point)})
        connection.execute(change, moved)


def _move_provenance(connection: sa.Connection, documents: _Documents, name: str, keys: tuple[str, ...]) -> None:
    table = sa.table(name, *map(sa.column, (*keys, 'shared')), sa.column('provenance', sa.JSON()))
    change = sa.update(table).where(*(table.c[key] == sa.bindparam(f'key_{key}') for key in keys))
    for rows in _pages(connection, table, keys[0]):
        moved = []
        for row in rows:
            shared = {key: value for key, value in row.provenance.items() if isinstance(value, (dict, list))}
            moved.append({
                **{f'key_{key}': getattr(row, key) for key in keys},
                'provenance': {key: value for key, value in row.provenance.items() if key not in shared},
                'shared': documents.keep(shared) if shared else None,
            })
        connection.execute(change, moved)


def _published() -> None:
    op.create_table('publications',
    sa.Column('key', sa.String(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('digest', sa.String(length=64), nullable=False),
    sa.Column('title', sa.String(), nullable=False),
    sa.Column('authors', sa.String(), nullable=False),
    sa.Column('venue', sa.String(), nullable=False),
    sa.Column('url', sa.String(), nullable=False),
    sa.Column('arxiv', sa.String(), nullable=True),
    sa.Column('protocol', sa.String(), nullable=False),
    sa.Column('recipe', sa.JSON(), nullable=False),
    sa.Column('claims', sa.JSON(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_publications'))
    )
    op.create_table('published_tables',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('publication', sa.String(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('model', sa.String(), nullable=False),
    sa.Column('benchmark', sa.String(), nullable=False),
    sa.Column('suite', sa.String(), nullable=False),
    sa.Column('experiment', sa.String(), nullable=True),
    sa.Column('recipe', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['publication'], ['publications.key'], name=op.f('fk_published_tables_publication')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_published_tables'))
    )
    op.create_table('published_rows',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('published_table', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('label', sa.String(), nullable=False),
    sa.Column('method', sa.String(), nullable=False),
    sa.Column('adapter', sa.JSON(), nullable=True),
    sa.Column('learning_rate', sa.Double(), nullable=True),
    sa.Column('data_percent', sa.Double(), nullable=False),
    sa.Column('trainable_params', sa.Integer().with_variant(sa.BigInteger(), 'postgresql'), nullable=True),
    sa.Column('params_percent', sa.Double(), nullable=True),
    sa.Column('scores', sa.JSON(), nullable=False),
    sa.Column('average', sa.Double(), nullable=True),
    sa.Column('quoted_from', sa.String(), nullable=True),
    sa.Column('own', sa.Boolean(), nullable=False),
    sa.Column('doubts', sa.JSON(), nullable=False),
    sa.ForeignKeyConstraint(['published_table'], ['published_tables.id'], name=op.f('fk_published_rows_published_table')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_published_rows'))
    )


def _tuning() -> None:
    op.add_column('memberships', sa.Column('role', sa.String(), server_default='run', nullable=False))
    op.add_column('memberships', sa.Column('tuning', sa.JSON(), nullable=True))


def _increments() -> None:
    op.create_table('increments',
    sa.Column('train_id', sa.String(length=12), nullable=False),
    sa.Column('name', sa.String(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('layer', sa.Integer(), nullable=True),
    sa.Column('module', sa.String(), nullable=True),
    sa.Column('matrix', sa.String(), nullable=False),
    sa.Column('rows', sa.Integer().with_variant(sa.BigInteger(), 'postgresql'), nullable=False),
    sa.Column('columns', sa.Integer().with_variant(sa.BigInteger(), 'postgresql'), nullable=False),
    sa.Column('start_rms', sa.Double(), nullable=False),
    sa.Column('rms', sa.Double(), nullable=False),
    sa.Column('share_1', sa.Double(), nullable=True),
    sa.Column('share_5', sa.Double(), nullable=True),
    sa.Column('share_10', sa.Double(), nullable=True),
    sa.Column('hoyer', sa.Double(), nullable=True),
    sa.Column('gini', sa.Double(), nullable=True),
    sa.Column('effective_rank', sa.Double(), nullable=True),
    sa.Column('absolute', sa.JSON(), nullable=False),
    sa.Column('gaussian', sa.JSON(), nullable=False),
    sa.Column('slice_side', sa.Integer(), nullable=False),
    sa.Column('slice_count', sa.Integer(), nullable=False),
    sa.Column('slices', sa.JSON(), nullable=False),
    sa.Column('histogram', sa.LargeBinary(), nullable=False),
    sa.Column('patch', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['train_id'], ['trainings.train_id'], name=op.f('fk_increments_train_id')),
    sa.PrimaryKeyConstraint('train_id', 'name', name=op.f('pk_increments'))
    )
